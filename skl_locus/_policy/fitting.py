"""Fitting of the cost weight or threshold of a policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._policy.floors import (
    FittedThreshold,
    calibrated_floor,
    certified_floor,
    start_of_tests,
)
from skl_locus._policy.held_out import HeldOutScores, best_single
from skl_locus._policy.platt import PlattScaling, fit_platt_scaling
from skl_locus._policy.search import (
    best_affordable,
    cheapest_reaching,
    evaluate_settings,
    evaluate_single,
)
from skl_locus._routing.objective import Objective
from skl_locus._utils.statistics import stable_mean
from skl_locus._utils.validation import as_float

GOALS = ("cost_weight", "min_correctness", "target_quality", "target_cost")
"""Parameters of which a policy takes at most one."""

DESIGN_SHARE = 0.3
"""Share of the held-out queries that only choose where certification starts.

They are lost to the test itself, so that a small part must do: the start needs to be
near the best one, not exact."""


@dataclass(frozen=True)
class PolicySetting:
    """What fitting a policy comes to.

    Parameters
    ----------
    calibration : PlattScaling
        Correction of P.
    objective : Objective
        Weight of cost or floor on corrected P; neither for a policy without a goal.
    report : DataFrame
        What was tried.
    target_quality : float, default=None
        The target as a number.
    single : int, default=None
        Column of the one model that does best to answer everything.
    shortfall : str, default=None
        Why the goal is out of reach, if it is; a warning for the user.
    """

    calibration: PlattScaling
    objective: Objective
    report: pd.DataFrame
    target_quality: float | None = None
    single: int | None = None
    shortfall: str | None = None


@dataclass(frozen=True)
class PolicyGoal:
    """The parameters of `RouterPolicy` that say what to reach, as documented there."""

    cost_weight: float | None
    min_correctness: float | None
    target_quality: float | str | None
    target_cost: float | None
    tune: str
    n_standard_errors: float
    tolerance: float
    confidence: float | None
    calibration: str | None

    @property
    def is_given(self) -> bool:
        """Whether there is a goal, and so a say of costs."""
        return any(getattr(self, name) is not None for name in GOALS)

    def check(self, *, has_costs: bool) -> None:
        """Raise an error if parameters contradict each other."""
        given = [name for name in GOALS if getattr(self, name) is not None]
        for name in given:
            if not isinstance(getattr(self, name), str):
                as_float(getattr(self, name), name)
        if len(given) > 1:
            raise ValueError(
                f"{given[0]} and {given[1]} exclude each other; pass one of them."
            )
        if given and not has_costs:
            raise ValueError(f"{given[0]} needs to know costs; pass cost_model=.")
        if self.confidence is not None and not 0 < (self.min_correctness or 0) < 1:
            raise ValueError(
                "confidence certifies a floor; pass min_correctness between 0 and 1."
            )


def fit_policy(
    goal: PolicyGoal, held_out: HeldOutScores, training: EvaluationSet
) -> PolicySetting:
    """Calibrate P, and find the weight or threshold that serves a goal.

    Parameters
    ----------
    goal : PolicyGoal
        What to reach.
    held_out : HeldOutScores
        Queries that the router was not fitted on, with P as the router predicts it.
    training : EvaluationSet
        What the router was fitted on.

    Returns
    -------
    PolicySetting
        Weight or threshold, with all that led to it.
    """
    design, tested = _design_and_test(goal, held_out)
    calibration = _fit_calibration(goal, design)
    design, tested = design.calibrated(calibration), tested.calibrated(calibration)
    if goal.min_correctness is not None:
        fitted = _fit_threshold(goal, goal.min_correctness, design, tested)
        return PolicySetting(
            calibration,
            Objective(floor=fitted.threshold),
            fitted.report,
            shortfall=fitted.shortfall,
        )
    if goal.target_quality is not None:
        return _fit_to_quality(goal, calibration, tested, training)
    if goal.target_cost is not None:
        return _fit_to_cost(goal, calibration, tested, goal.target_cost)
    objective = Objective(cost_weight=goal.cost_weight)
    return PolicySetting(calibration, objective, tested.outcome(objective).to_frame().T)


def _design_and_test(
    goal: PolicyGoal, held_out: HeldOutScores
) -> tuple[HeldOutScores, HeldOutScores]:
    """Divide queries into those that design a test and those that it is made on.

    A bound for finite samples holds only if its queries had no part in what is tested:
    neither in the calibration nor in the order of the thresholds.
    """
    if goal.confidence is None:
        return held_out, held_out
    # Queries are in the order of their digests, which have nothing to do with what
    # they ask: the first ones are a random sample.
    n_design = round(DESIGN_SHARE * len(held_out))
    if n_design == 0:
        raise ValueError(
            f"X has {len(held_out)} query, which is too few to certify anything; "
            "pass more held-out queries, or no confidence."
        )
    return held_out.take(slice(n_design)), held_out.take(slice(n_design, None))


def _fit_calibration(goal: PolicyGoal, held_out: HeldOutScores) -> PlattScaling:
    observed = np.isfinite(held_out.scores)
    if goal.calibration is None or not observed.any():
        return PlattScaling()
    return fit_platt_scaling(
        held_out.probabilities[observed], held_out.scores[observed]
    )


def _fit_threshold(
    goal: PolicyGoal, floor: float, design: HeldOutScores, tested: HeldOutScores
) -> FittedThreshold:
    if goal.confidence is None:
        return calibrated_floor(tested, floor, goal.n_standard_errors)
    start = start_of_tests(design, floor, len(tested))
    return certified_floor(tested, floor, goal.confidence, start)


def _fit_to_cost(
    goal: PolicyGoal, calibration: PlattScaling, held_out: HeldOutScores, target: float
) -> PolicySetting:
    # There is no margin as for quality: costs are known for every route.
    objectives, report = evaluate_settings(held_out, goal.tune)
    return PolicySetting(
        calibration, objectives[best_affordable(report, target)], report
    )


def _fit_to_quality(
    goal: PolicyGoal,
    calibration: PlattScaling,
    held_out: HeldOutScores,
    training: EvaluationSet,
) -> PolicySetting:
    single = None
    if isinstance(goal.target_quality, str):
        single = best_single(training, held_out)
        reference = held_out.scores[:, single]
    else:
        reference = np.full(len(held_out), goal.target_quality, dtype=np.float64)
    # Query by query, so that differences from the reference are paired.
    target = stable_mean(reference)
    reference = reference - goal.tolerance
    objectives, report = evaluate_settings(held_out, goal.tune, reference)
    if single is not None:
        # The model to be matched always matches itself, and may be the cheapest way.
        # Among one model only, any objective chooses that one.
        objectives.append(_tuned_to_zero(goal))
        own = evaluate_single(held_out, single, reference)
        report = pd.concat([report, own], ignore_index=True)
    best, shortfall = cheapest_reaching(report, goal.n_standard_errors)
    return PolicySetting(
        calibration,
        objectives[best],
        report,
        target_quality=target,
        single=single if best == len(objectives) - 1 else None,
        shortfall=shortfall,
    )


def _tuned_to_zero(goal: PolicyGoal) -> Objective:
    if goal.tune == "cost_weight":
        return Objective(cost_weight=0.0)
    return Objective(floor=0.0)
