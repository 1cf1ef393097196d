"""A fitted router or policy that judges one text at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skl_locus._costs.tables import cost_matrix, labels_without_cost
from skl_locus._data.queries import text_key
from skl_locus._data.query_batch import QueryBatch
from skl_locus._data.query_encoder import QueryEncoder
from skl_locus._policy.policy import RouterPolicy
from skl_locus._routing.access import read_batch
from skl_locus._routing.ranking import Ranking
from skl_locus._routing.unwrap import fitted_router
from skl_locus._utils.user_warnings import warn_user
from skl_locus.exceptions import ServiceWarning
from skl_locus.integrations._bounded_map import BoundedMap

WARM_UP = "Which model answers this best?"
"""Text that a new router judges before it is put in service. It loads the text model
and imports what is imported late, which the first request would have to wait for."""

MAX_CHARACTERS = 20_000_000
"""Characters of the texts whose vectors are kept, in all: at most 80 MB, where 10,000
texts of the greatest length would take more than a gigabyte."""

RULES = ("costs", "cost_weight", "min_correctness")
"""Arguments of ``route`` that say how a router without a policy decides."""


@dataclass(frozen=True)
class Settings:
    """How judges decide, whatever the router.

    Parameters
    ----------
    rules : mapping or RouterPolicy or None
        Arguments of ``route`` among `RULES`, or a policy around the router.
    min_trust : float or None
        Trust that a query must have.
    switch_margin, switch_cost : float
        What a change of the model of a session must gain, and what it costs.
    n_texts : int
        Number of texts of which the encodings are kept.
    """

    rules: Any = None
    min_trust: float | None = None
    switch_margin: float = 0.0
    switch_cost: float = 0.0
    n_texts: int = 10_000

    def __post_init__(self) -> None:
        if isinstance(self.rules, Mapping):
            unknown = sorted(set(self.rules) - set(RULES))
            if unknown:
                raise ValueError(
                    f"policy has {unknown[0]!r}; it can have {', '.join(RULES)}, the "
                    "arguments of route."
                )
        elif self.rules is not None and not isinstance(self.rules, RouterPolicy):
            raise TypeError(
                "policy must be a fitted RouterPolicy or a mapping with "
                f"{', '.join(RULES)}; got {type(self.rules).__name__}."
            )
        if self.min_trust is not None and not 0 <= self.min_trust <= 1:
            raise ValueError(f"min_trust must lie in [0, 1]; got {self.min_trust!r}.")


@dataclass(frozen=True)
class Judgement:
    """What a router says of one text.

    Parameters
    ----------
    ranking : Ranking
        Models with P(correct), best first, of one query.
    trust : float or None
        Trust in the query, where the router has one.
    cost : float or None
        Expected cost of the best model, where there are costs.
    """

    ranking: Ranking
    trust: float | None
    cost: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the best model reaches the floor; None without one."""
        reached = self.ranking.reached
        return None if reached is None else bool(reached[0, 0])

    @property
    def probabilities(self) -> dict[Any, float]:
        """P(correct) of the models, best first."""
        labels, probabilities = self.ranking
        return dict(zip(labels[0], map(float, probabilities[0]), strict=True))


class Judge:
    """A fitted router, alone or in a policy or a pipeline, for one text at a time.

    Parameters
    ----------
    estimator : estimator
        A fitted router, a policy, or a pipeline that ends in a router.
    settings : Settings
        How it decides.
    version : str, default=None
        Version of its file.

    Attributes
    ----------
    labels : dict of str to label
        Models that can be chosen, by their names.
    version : str or None
        The version.

    Raises
    ------
    TypeError
        If there is no router inside.
    ValueError
        If it cannot read texts, or does not fit to the settings.
    """

    def __init__(
        self, estimator: Any, settings: Settings, version: str | None = None
    ) -> None:
        self.version = version
        self._settings = settings
        self._batches: BoundedMap[QueryBatch] = BoundedMap(
            settings.n_texts, max_weight=MAX_CHARACTERS
        )
        self._policy = _policy_of(estimator, settings)
        self._front, router = _split(estimator)
        self._router: Any = fitted_router(router)
        self._rules = dict(settings.rules or {}) if self._policy is None else {}
        self._has_trust = bool(getattr(self._router, "local_evidence", False))
        if settings.min_trust is not None and not self._has_trust:
            raise ValueError(
                "min_trust needs a router that has a trust in queries: a LocusRouter "
                "with local_evidence=True."
            )
        self.labels = {str(label): label for label in self._choosable()}
        self.judge(WARM_UP, list(self.labels.values()), None)

    def judge(self, text: str, labels: list, incumbent: Any) -> Judgement:
        """Rank some models for a text.

        Parameters
        ----------
        text : str
            The text.
        labels : list of labels
            Models to choose among, at least one, from ``labels``.
        incumbent : label or None
            The model that answers the session already.

        Returns
        -------
        Judgement
            The judgement.
        """
        batch = self._read(text)
        trust = None
        if self._has_trust:
            trust = float(self._router.trust(batch)[0])
        # Without a session nothing is passed, since requests without one are faster.
        incumbents = None if incumbent is None else [incumbent]
        ranking = self._ranked(batch, labels, incumbents)
        return Judgement(ranking, trust, self._cost_of(ranking.labels[0, :1], batch))

    def trusts(self, judgement: Judgement) -> bool:
        """Whether the trust in a query is enough to choose a model for it."""
        minimum = self._settings.min_trust
        return minimum is None or (judgement.trust or 0.0) >= minimum

    def _read(self, text: str) -> QueryBatch:
        """Return a text as a batch with its vector, which is kept for equal texts."""
        key = text_key(text)
        batch = self._batches.get(key)
        if batch is None:
            queries = [text] if self._front is None else self._front.transform([text])
            batch = read_batch(self._router, queries)
            # The text is a part of the batch, since costs depend on its length.
            self._batches.set(key, batch, len(text))
        return batch

    def _ranked(
        self, batch: QueryBatch, labels: list, incumbents: list | None
    ) -> Ranking:
        if self._policy is not None:
            wanted = set(labels)
            others = [label for label in self.labels.values() if label not in wanted]
            return self._policy.rank(batch, unavailable=others, incumbent=incumbents)
        return self._router.rank(
            batch,
            models=labels,
            incumbent=incumbents,
            switch_margin=self._settings.switch_margin,
            switch_cost=self._settings.switch_cost,
            **self._rules,
        )

    def _cost_of(self, label: np.ndarray, batch: QueryBatch) -> float | None:
        costs = self._costs
        if costs is None:
            return None
        return float(cost_matrix(costs, batch, 1, label)[0, 0])

    @property
    def _costs(self) -> Any:
        if self._policy is not None:
            return self._policy.cost_model_
        return self._rules.get("costs")

    def _choosable(self) -> Collection:
        labels = list(self._router.models_)
        if self._policy is not None and self._policy.models_ is not None:
            allowed = set(self._policy.models_)
            labels = [label for label in labels if label in allowed]
        unpriced = labels_without_cost(self._costs, labels)
        if unpriced:
            warn_user(
                f"There is no cost of {len(unpriced)} models of the router, such as "
                f"{next(iter(unpriced))!r}; they are never chosen.",
                ServiceWarning,
            )
        return [label for label in labels if label not in unpriced]


def keep_no_vectors(estimator: Any) -> None:
    """Switch off the caches of an estimator's encoders, in place of which a judge's is.

    Parameters
    ----------
    estimator : estimator
        A router, policy or pipeline that nobody else uses: it is changed.
    """
    front, router = _split(estimator)
    encoders = [getattr(fitted_router(router), "query_encoder_", None)]
    encoders += [] if front is None else [step for _, step in front.steps]
    for encoder in encoders:
        if isinstance(encoder, QueryEncoder):
            encoder.cache_size = 0


def _policy_of(estimator: Any, settings: Settings) -> RouterPolicy | None:
    """Return the policy, which is the estimator itself or was given beside it."""
    given = settings.rules if isinstance(settings.rules, RouterPolicy) else None
    if given is not None and fitted_router(given.router) is not estimator:
        raise ValueError(
            "The policy is one of another router. Pass the policy, or its file, in "
            "place of the router: it contains its router."
        )
    policy = estimator if isinstance(estimator, RouterPolicy) else given
    if policy is not None and isinstance(settings.rules, Mapping):
        raise ValueError("A RouterPolicy has rules of its own; pass policy=None.")
    if policy is not None and (settings.switch_margin or settings.switch_cost):
        raise ValueError(
            "switch_margin and switch_cost are parameters of the RouterPolicy itself."
        )
    return policy


def _split(estimator: Any) -> tuple[Any, Any]:
    """Return what encodes texts in front of a router, if anything, and the router."""
    if isinstance(estimator, RouterPolicy):
        return None, estimator.router
    if isinstance(estimator, FrozenEstimator):
        return _split(estimator.estimator)
    if hasattr(estimator, "best_estimator_"):
        return _split(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return estimator[:-1], estimator[-1]
    return None, estimator
