"""The known models as particles: which of them the evaluated one may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._data.queries import QuerySet
from skl_locus._utils.model_frames import model_index
from skl_locus.adaptive._criteria import IdentityCriterion
from skl_locus.adaptive._responses import ResponseModel
from skl_locus.inspection._likelihood import answer_probabilities, log_likelihoods

MAX_PARTICLES = 512
"""Most likely models among which the next query is to decide, so that memory is
bounded; in larger pools the others soon have no weight."""


def log_weights(known: Any, queries: QuerySet, scores: np.ndarray) -> np.ndarray:
    """Rate the known models by the likelihood of scores, as `identify` does."""
    answered = np.flatnonzero(np.isfinite(scores))
    if not len(answered):
        return np.zeros(known.evaluations.n_models)
    newcomer = EvaluationSet(
        model_names=label_array(["model"]),
        queries=queries.take(answered),
        model_codes=np.zeros(len(answered), dtype=np.int32),
        query_codes=np.arange(len(answered), dtype=np.int32),
        scores=scores[answered].astype(np.float32),
        counts=np.ones(len(answered), dtype=np.int32),
    )
    names = known.evaluations.model_names
    expected = known.expected_scores(names, newcomer.queries)
    return log_likelihoods(newcomer, known.evaluations, expected)


@dataclass(frozen=True)
class Particles:
    """Known models, and how likely each is to answer queries rightly.

    Parameters
    ----------
    known : KnownModels
        The models of the router.
    queries : QuerySet
        Queries that can be asked.
    probabilities : ndarray of shape (n_models, n_queries), float32, or None
        Of all models; None in large pools, of which some are looked at each time.
    """

    known: Any
    queries: QuerySet
    probabilities: np.ndarray | None

    @classmethod
    def of(cls, known: Any, queries: QuerySet) -> Particles:
        """Compute the probabilities once, where they fit."""
        names = known.evaluations.model_names
        if len(names) > MAX_PARTICLES:
            return cls(known, queries, None)
        return cls(known, queries, _probabilities(known, queries, names))

    def criterion(
        self, scores: np.ndarray, rng: np.random.Generator
    ) -> IdentityCriterion:
        """Return the mutual information of answers and models, after some scores."""
        weights = log_weights(self.known, self.queries, scores)
        if self.probabilities is not None:
            return IdentityCriterion(weights, self.probabilities, rng)
        # Stable, so that of equally likely models always the same are taken.
        heaviest = np.sort(np.argsort(-weights, kind="stable")[:MAX_PARTICLES])
        names = self.known.evaluations.model_names[heaviest]
        probabilities = _probabilities(self.known, self.queries, names)
        return IdentityCriterion(weights[heaviest], probabilities, rng)


def _probabilities(known: Any, queries: QuerySet, names: np.ndarray) -> np.ndarray:
    stored = known.evaluations.only_models(names)
    expected = known.expected_scores(names, queries)
    return answer_probabilities(stored, queries, expected).astype(np.float32)


def neighbors_of(
    known: Any,
    responses: ResponseModel,
    queries: QuerySet,
    scores: np.ndarray,
    theta: np.ndarray,
    model_col: str,
) -> pd.DataFrame:
    """Compare a model with the known ones: probability and distance of each."""
    weights = log_weights(known, queries, scores)
    states = np.column_stack([known.abilities, known.factor_scores])
    own = responses.expected(theta)
    # One model at a time: a matrix of all models and queries may not fit.
    squares = [np.mean((responses.expected(each) - own) ** 2) for each in states]
    index = model_index(known.evaluations.model_names.tolist(), model_col)
    table = pd.DataFrame(
        {"probability": softmax(weights), "distance": np.sqrt(squares)}, index
    )
    return table.iloc[np.argsort(-weights, kind="stable")]
