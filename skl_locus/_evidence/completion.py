"""Regressions of new models, completed by the scores that a factor model expects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.factors import FactorModel, score_deviations
from skl_locus._estimation.linear_models import PooledRegression
from skl_locus._estimation.linear_solvers import LinearPredictors
from skl_locus._estimation.shared_basis import design_of

ABILITIES = np.linspace(-6, 6, 25)
"""Abilities for which regressions are tabulated. Half a logit apart, the lines between
them miss by less than a hundredth of one."""

POOL_MODELS = 10.0
"""Models of a pool from which on completed regressions count for more than own ones.
On development halves of four logs, 10 and 20 gained on all of them, and more weight
lost on the pool of eight."""

MODELS_AT_A_TIME = 256
"""Models that are completed at a time: of each, the steps of all factors are held."""


@dataclass(frozen=True)
class CompletedRegression:
    """What a new model's regression would be if it had answered all known queries.

    The factor model of a pool expects scores of a new model on all known queries, from
    its ability and its factor scores. A regression on them, and on the scores that were
    observed in their place, is found without solving it: at a model's ability, the
    regression on the scores of ability alone is tabulated, and one Newton step leads
    from there to the scores that its factors and its own answers add. Its length does
    not depend on the number of known queries, and no encodings have to be kept.

    Parameters
    ----------
    model : FactorModel
        Of the pool.
    lines : LinearPredictors of n_abilities models
        Regressions on the expected scores of models that have ability alone.
    steps : ndarray of shape (n_abilities, n_factors, 1 + n_features)
        Newton steps for one unit of each factor score: the level at ``origin``, then
        slopes.
    origin : ndarray of shape (n_features,)
        Mean encoding of the known queries.
    inverse : ndarray of shape (1 + n_features, 1 + n_features)
        Inverse of the curvature of a model of average ability.
    n_models : int
        Size of the pool that the factors were learned from.
    """

    model: FactorModel
    lines: LinearPredictors
    steps: np.ndarray
    origin: np.ndarray
    inverse: np.ndarray
    n_models: int

    @classmethod
    def fit(
        cls,
        regression: PooledRegression,
        model: FactorModel,
        queries: QuerySet,
        n_models: int,
    ) -> CompletedRegression:
        """Tabulate the regressions of models that have ability alone.

        Parameters
        ----------
        regression : PooledRegression
            How models' scores are regressed on encodings, by log loss.
        model : FactorModel
            Of the pool.
        queries : QuerySet
            All queries of the pool.
        n_models : int
            Models of the pool.
        """
        rows = queries.rows[find_sorted(queries.keys, model.keys)]
        abilities = ABILITIES[:, None] + model.easiness
        design = design_of(queries, rows, len(ABILITIES))
        lines = regression.fit(design, expit(abilities).T)
        X = queries.encodings[rows].astype(np.float64)
        origin = X.mean(axis=0)
        X = np.column_stack([np.ones(len(X)), X - origin])
        # One curvature serves all models: most of it is the penalty, which all share.
        p = expit(model.center + model.easiness)
        curvature = (X.T * (p * (1 - p))) @ X
        penalties = np.full(X.shape[1], regression.alpha)
        penalties[0] = 0.0
        inverse = np.linalg.inv(curvature + np.diag(penalties))
        deviations = score_deviations(expit(abilities))
        slopes = np.stack(
            [(X.T @ (each[:, None] * model.factors)).T for each in deviations]
        )
        return cls(model, lines, slopes @ inverse, origin, inverse, n_models)

    def blended(
        self, lines: LinearPredictors, evaluations: EvaluationSet, order: np.ndarray
    ) -> LinearPredictors:
        """Move models' own regressions towards completed ones.

        Parameters
        ----------
        lines : LinearPredictors
            Own regressions.
        evaluations : EvaluationSet
            Evaluations of the models.
        order : ndarray of shape (n_models,)
            Position of each model of ``lines`` in ``evaluations.model_names``.

        Returns
        -------
        LinearPredictors
            In the order of ``lines``; those of models that have as many evaluations as
            there are known queries are the same to the bit.
        """
        coef, intercept = lines.coef.copy(), lines.intercept.copy()
        shares = self.shares(evaluations.sizes[order])
        few = np.flatnonzero(shares > 0)
        if not len(few):
            return lines
        own = evaluations.of_models(order[few])
        # In the order of the set, where a block of models is a range of rows.
        few = few[np.argsort(order[few])]
        for start in range(0, len(few), MODELS_AT_A_TIME):
            some = few[start : start + MODELS_AT_A_TIME]
            rows = own.offsets[[start, start + len(some)]]
            completed = self._completed(own.take(np.arange(*rows)))
            share = shares[some]
            coef[some] += share[:, None] * (completed.coef - coef[some])
            intercept[some] += share * (completed.intercept - intercept[some])
        return LinearPredictors(coef, intercept)

    def shares(self, sizes: np.ndarray) -> np.ndarray:
        """Return the weights of completed regressions by numbers of evaluations.

        The fewer models the factors were learned from, the less they say of a new one;
        and a model has less to be completed the more of its scores were observed.
        """
        left = np.clip(1 - sizes / len(self.model.keys), 0, 1)
        return self.n_models / (self.n_models + POOL_MODELS) * left

    def _completed(self, evaluations: EvaluationSet) -> LinearPredictors:
        """Return the completed regression of every model of a set."""
        abilities, scores, _ = self.model.scores(evaluations)
        below, beyond = _between(abilities)
        steps = np.einsum("mk,mkd->md", scores * (1 - beyond), self.steps[below])
        steps += np.einsum("mk,mkd->md", scores * beyond, self.steps[below + 1])
        steps += self._answers(evaluations, abilities, scores) @ self.inverse
        table = np.column_stack([self.lines.intercept, self.lines.coef])
        start = table[below] * (1 - beyond) + table[below + 1] * beyond
        # Steps have the level at the mean encoding, lines that at zero.
        intercept = start[:, 0] + steps[:, 0] - steps[:, 1:] @ self.origin
        return LinearPredictors(start[:, 1:] + steps[:, 1:], intercept)

    def _answers(
        self, evaluations: EvaluationSet, abilities: np.ndarray, scores: np.ndarray
    ) -> np.ndarray:
        """Add up what was scored beyond expectation, times the encodings.

        Returns slopes of the log likelihood, (n_models, 1 + n_features). Queries that
        the factor model does not know have no part in it: the curvature is that of
        the known ones, and any number of others would overshoot.
        """
        places = self.model.places_of(evaluations.queries)
        known = np.flatnonzero(places >= 0)
        rows = np.flatnonzero(places[evaluations.query_codes] >= 0)
        models, queries = evaluations.model_codes[rows], evaluations.query_codes[rows]
        expected = self.model.expected_scores(abilities, scores)
        surprises = evaluations.scores[rows] - expected[models, places[queries]]
        cells = models, np.searchsorted(known, queries)
        shape = evaluations.n_models, len(known)
        table = csr_array((surprises, cells), shape=shape)
        X = evaluations.queries.vectors(known) - self.origin
        return np.column_stack([table.sum(axis=1), table @ X])


def _between(abilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tabulated ability below each of some, and the part of the way on."""
    step = ABILITIES[1] - ABILITIES[0]
    places = ((abilities - ABILITIES[0]) / step).clip(0, len(ABILITIES) - 1)
    below = np.minimum(places.astype(np.intp), len(ABILITIES) - 2)
    return below, (places - below)[:, None]
