"""Fitting of the cost weight or threshold of a policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._policy.floors import (
    NEVER,
    calibrated_floor,
    certified_floor,
    floor_choices,
    floors_from,
    start_of_tests,
)
from skl_locus._policy.held_out import HeldOutScores, best_single
from skl_locus._policy.platt import PlattScaling, fit_platt_scaling
from skl_locus._policy.search import (
    best_within,
    cheapest_as_good,
    try_settings,
    try_single,
    weight_choices,
    weights_to_try,
)
from skl_locus._utils.statistics import stable_mean

AIMS = ("cost_weight", "min_correctness", "target_quality", "target_cost")
"""Parameters of which at most one says what a policy is after."""

DESIGN_SHARE = 0.3
"""Share of the held-out queries that say where to begin certifying, and no more."""


@dataclass(frozen=True)
class PolicySetting:
    """What a policy works with.

    Parameters
    ----------
    calibration : PlattScaling
        Correction of P.
    cost_weight, threshold : float or None
        Weight of cost, or what P must reach; at most one of them.
    report : DataFrame
        What was tried.
    target_quality : float or None
        The target as a number.
    single : int or None
        Column of the model that does best to answer everything.
    """

    calibration: PlattScaling
    cost_weight: float | None
    threshold: float | None
    report: pd.DataFrame
    target_quality: float | None = None
    single: int | None = None


@dataclass(frozen=True)
class PolicyGoal:
    """The parameters of a policy that say what it is after, as documented there."""

    cost_weight: float | None
    min_correctness: float | None
    target_quality: float | str | None
    target_cost: float | None
    tune: str
    n_standard_errors: float
    tolerance: float
    confidence: float | None
    calibration: str | None

    def check(self, *, has_costs: bool) -> None:
        """Refuse parameters that contradict each other."""
        given = [name for name in AIMS if getattr(self, name) is not None]
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

    def settle(self, held_out: HeldOutScores, training: EvaluationSet) -> PolicySetting:
        """Calibrate and tune.

        Parameters
        ----------
        held_out : HeldOutScores
            With P as the router predicts it.
        training : EvaluationSet
            What the router was fitted on.

        Returns
        -------
        PolicySetting
            Weight or threshold, with all that led to it.
        """
        design, tested = self._parts(held_out)
        correct = self._fitted_calibration(design)
        design, tested = design.corrected(correct), tested.corrected(correct)
        if self.min_correctness is not None:
            threshold, report = self._floor(self.min_correctness, design, tested)
            return PolicySetting(correct, None, threshold, report)
        if self.target_quality is not None:
            return self._settle_quality(correct, tested, training)
        if self.target_cost is not None:
            return self._settle_cost(correct, tested, self.target_cost)
        report = tested.outcome(self.cost_weight, None).to_frame().T
        return PolicySetting(correct, self.cost_weight, None, report)

    def _parts(self, held_out: HeldOutScores) -> tuple[HeldOutScores, HeldOutScores]:
        """Part the queries into those that say where to test, and those tested."""
        if self.confidence is None:
            return held_out, held_out
        # Digests are in no order that means anything: the first ones are a sample.
        n_design = round(DESIGN_SHARE * len(held_out))
        if n_design == 0:
            raise ValueError(
                f"X has {len(held_out)} query, which is too few to certify anything; "
                "pass more held-out queries, or no confidence."
            )
        return held_out.take(slice(n_design)), held_out.take(slice(n_design, None))

    def _fitted_calibration(self, held_out: HeldOutScores) -> PlattScaling:
        observed = np.isfinite(held_out.scores)
        if self.calibration is None or not observed.any():
            return PlattScaling()
        return fit_platt_scaling(
            held_out.probabilities[observed], held_out.scores[observed]
        )

    def _floor(
        self, floor: float, design: HeldOutScores, tested: HeldOutScores
    ) -> tuple[float, pd.DataFrame]:
        if self.confidence is None:
            return calibrated_floor(tested, floor, self.n_standard_errors)
        start = start_of_tests(design, floor, len(tested))
        return certified_floor(tested, floor, self.confidence, start)

    def _settle_cost(
        self, correct: PlattScaling, held_out: HeldOutScores, target: float
    ) -> PolicySetting:
        settings, report = self._try_settings(held_out, None)
        setting = float(settings[best_within(report, target)])
        return PolicySetting(correct, *self._as_tuned(setting), report)

    def _settle_quality(
        self, correct: PlattScaling, held_out: HeldOutScores, training: EvaluationSet
    ) -> PolicySetting:
        single = None
        if isinstance(self.target_quality, str):
            single = best_single(training, held_out)
            reference = held_out.scores[:, single]
        else:
            reference = np.full(len(held_out), self.target_quality, dtype=np.float64)
        target = stable_mean(reference)
        reference = reference - self.tolerance
        settings, report = self._try_settings(held_out, reference)
        if single is not None:
            # Who is to be matched always matches itself, and may be the cheapest way.
            settings = np.append(settings, 0.0)
            own = try_single(held_out, single, reference)
            report = pd.concat([report, own], ignore_index=True)
        best = cheapest_as_good(report, self.n_standard_errors)
        return PolicySetting(
            correct,
            *self._as_tuned(float(settings[best])),
            report,
            target,
            single if best == len(settings) - 1 else None,
        )

    def _try_settings(
        self, held_out: HeldOutScores, reference: np.ndarray | None
    ) -> tuple[np.ndarray, pd.DataFrame]:
        """Return the settings tried with what they would have done."""
        if self.tune == "cost_weight":
            settings = weights_to_try(held_out)
            choices = weight_choices(held_out, settings)
        else:
            settings = np.append(floors_from(0.0), NEVER)
            choices = floor_choices(held_out, settings)
        name = "cost_weight" if self.tune == "cost_weight" else "threshold"
        return settings, try_settings(held_out, name, choices, reference)

    def _as_tuned(self, setting: float) -> tuple[float | None, float | None]:
        """Return a setting as the weight or as the threshold."""
        return (setting, None) if self.tune == "cost_weight" else (None, setting)
