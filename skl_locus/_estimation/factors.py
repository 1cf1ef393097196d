"""Factors of a pool's scores beyond ability and difficulty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.special import expit

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet, vector_keys
from skl_locus._estimation.rasch import newton_step, posterior_modes

N_FACTORS = 8
"""Factors of the residuals; with 16 or 32 nothing changed on four logs, since the
variances of the others shrink to zero."""

MAX_QUERIES = 4096
"""Queries whose factors are estimated; keys are digests, so the first ones are a
random sample."""

MAX_MODELS = 1024
"""Models that factors are estimated from, evenly spaced in the order of labels."""

RASCH_STEPS = 30
"""Alternating Newton steps of abilities and difficulties."""

EM_STEPS = 60
"""Steps of expectation and maximisation, always as many: a test of convergence would
let a single model's scores decide how many."""

DIFFICULTY_PRECISION = 0.5
"""Of the normal prior of a query's difficulty around zero."""

ABILITY_PRECISION = 0.05
"""Of the prior of abilities while difficulties are estimated: nearly flat."""

MIN_ABILITY_VARIANCE = 0.05
"""Of abilities in a pool, so that a new model may differ from a pool of equals."""

MIN_SCORE_VARIANCE = 0.05
"""Of a score, p (1 - p), where p is near 0 or 1: a single surprise must not count for
more than twenty answers."""

NOISE_PRIOR = 20.0
"""Evaluations that the pool's noise counts for in a model's own."""

MIN_COMMON = 5
"""Common queries without which two models say nothing of each other at the start."""

MIN_NOISE, MAX_NOISE = 0.05, 3.0
"""Bounds of the noise variance of standardised residuals, whose mean is about 1."""

SMALLEST_SCALE = 1e-5
"""Of the variance of a factor's scores among models, which divides."""

DENSE_FROM = 0.05
"""Share of the (model, query) pairs from which on residuals are kept with their gaps:
dense products are twenty times faster per entry than sparse ones. Only logs of the size
that factors are estimated from are: the matrix of a large one would not fit."""

RIDGE = 1.0
"""Penalty, per query and in units of the encodings' mean variance, of the map from
encodings to factors."""


@dataclass(frozen=True)
class FactorModel:
    """Ability, difficulty and factors: multidimensional item response theory.

    Model m with ability a_m and factor scores w_m answers query q with the score

        y_mq = p + s (w_m . f_q + e),   p = expit(a_m + b_q),   s^2 = p (1 - p),

    where f_q has independent standard normal factors, w_m is normal with the pool's
    variance of each factor, and e is noise. Difficulties and factors of the pool's
    queries are estimated once, by expectation and maximisation with missing scores;
    for other queries they are predicted from the encoding. The scores of any model,
    new or old, then follow from its evaluations alone, by two convex problems.

    Parameters
    ----------
    keys : ndarray of shape (n_queries,)
        Digests of the queries with factors of their own, ascending.
    vector_keys : ndarray of shape (n_queries,)
        Digests of their encodings, by which queries under other ids are known.
    easiness : ndarray of shape (n_queries,)
        b_q.
    factors : ndarray of shape (n_queries, n_factors)
        Posterior means of f_q.
    moments : ndarray of shape (n_queries, n_factors, n_factors)
        Posterior means of f_q f_q^T.
    center, precision : float
        Mean, and inverse of the variance, of the pool's abilities.
    scales : ndarray of shape (n_factors,)
        Variance of each factor's scores in the pool.
    noise : float
        Variance of e.
    origin, slopes : ndarray of shape (n_features,), (n_features, 1 + n_factors)
        Mean encoding, and the linear map from there to b_q and f_q.
    level : ndarray of shape (1 + n_factors,)
        b_q and f_q of the mean encoding.
    spread : ndarray of shape (n_factors, n_factors)
        Covariance of f_q around what the encoding predicts.
    """

    keys: np.ndarray
    vector_keys: np.ndarray
    easiness: np.ndarray
    factors: np.ndarray
    moments: np.ndarray
    center: float
    precision: float
    scales: np.ndarray
    noise: float
    origin: np.ndarray
    slopes: np.ndarray
    level: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, evaluations: EvaluationSet, n_factors: int = N_FACTORS) -> FactorModel:
        """Estimate difficulties and factors from the evaluations of a pool."""
        sample = sample_of(evaluations)
        abilities, easiness = fit_rasch(sample)
        residuals = _Residuals.of(sample, abilities, easiness)
        n_factors = max(1, min(n_factors, sample.n_models - 1))
        loadings, noise = _loadings(residuals, n_factors)
        factors, moments = _posterior_factors(residuals, loadings, noise)
        queries = sample.queries
        origin, slopes, level = _linear_map(
            queries.vectors(), np.column_stack([easiness, factors])
        )
        predicted = (queries.vectors() - origin) @ slopes + level
        spread = moments.mean(axis=0)
        spread -= predicted[:, 1:].T @ predicted[:, 1:] / len(queries)
        variance = max(float(abilities.var()), MIN_ABILITY_VARIANCE)
        return cls(
            keys=queries.keys,
            vector_keys=vector_keys(queries.vectors()),
            easiness=easiness,
            factors=factors,
            moments=moments,
            center=float(abilities.mean()),
            precision=1 / variance,
            scales=np.maximum(np.square(loadings).mean(axis=0), SMALLEST_SCALE),
            noise=float(np.average(noise, weights=sample.sizes)),
            origin=origin,
            slopes=slopes,
            level=level,
            spread=spread,
        )

    def scores(
        self, evaluations: EvaluationSet
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Estimate the ability and the factor scores of each model.

        Parameters
        ----------
        evaluations : EvaluationSet
            Evaluations of any models on any queries.

        Returns
        -------
        abilities : ndarray of shape (n_models,)
            Posterior modes of a_m.
        factor_scores : ndarray of shape (n_models, n_factors)
            Posterior means of w_m.
        covariances : ndarray of shape (n_models, n_factors, n_factors)
            Posterior covariances of w_m.
        """
        easiness, factors, moments = self.parameters_of(evaluations.queries)
        abilities = posterior_modes(
            evaluations.model_codes,
            easiness[evaluations.query_codes],
            evaluations.scores.astype(np.float64),
            evaluations.n_models,
            self.center,
            self.precision,
        )
        residuals = _Residuals.of(evaluations, abilities, easiness)
        precisions = residuals.sum_over_queries(moments) / self.noise
        precisions += np.diag(1 / self.scales)
        weighted = residuals.values @ factors / self.noise
        covariances = np.linalg.inv(precisions)
        return abilities, np.einsum("mij,mj->mi", covariances, weighted), covariances

    def expected_scores(
        self,
        abilities: np.ndarray,
        factor_scores: np.ndarray,
        queries: QuerySet | None = None,
    ) -> np.ndarray:
        """Return the expected scores on queries: (n_models, n_queries).

        Without ``queries``, on each of ``keys``.
        """
        easiness, factors = self.easiness, self.factors
        if queries is not None:
            easiness, factors, _ = self.parameters_of(queries)
        p = expit(abilities[:, None] + easiness)
        deviations = score_deviations(p) * (factor_scores @ factors.T)
        return np.clip(p + deviations, 0, 1)

    def residual_covariance(
        self, evaluations: EvaluationSet, abilities: np.ndarray
    ) -> np.ndarray:
        """Return what models have in common beyond ability: (n_models, n_models).

        Mean products of their standardised residuals on common queries.
        """
        easiness, _, _ = self.parameters_of(evaluations.queries)
        return _covariance(_Residuals.of(evaluations, abilities, easiness))

    def factors_from(
        self,
        evaluations: EvaluationSet,
        abilities: np.ndarray,
        loadings: np.ndarray,
        easiness: np.ndarray | None = None,
    ) -> np.ndarray:
        """Estimate the factors of queries from the evaluations of some models alone.

        The counterpart of `scores`: the models' abilities and loadings are known here,
        and the queries' easiness and factors are not.

        Parameters
        ----------
        evaluations : EvaluationSet
            Evaluations of the models.
        abilities : ndarray of shape (n_models,)
            Their abilities.
        loadings : ndarray of shape (n_models, n_factors)
            Their scores on any factors, whichever.
        easiness : ndarray of shape (n_queries,), default=None
            What `easiness_from` returns of the same, where it is known already.

        Returns
        -------
        ndarray of shape (n_queries, n_factors)
            Posterior means of the factors of ``evaluations.queries``.
        """
        # Not the easiness that the fit found: every model of the pool had a part in it.
        if easiness is None:
            easiness = self.easiness_from(evaluations, abilities)
        residuals = _Residuals.of(evaluations, abilities, easiness)
        noise = np.full(evaluations.n_models, self.noise)
        return _posterior_factors(residuals, loadings, noise)[0]

    def easiness_from(
        self, evaluations: EvaluationSet, abilities: np.ndarray
    ) -> np.ndarray:
        """Estimate the easiness of queries from the evaluations of some models alone.

        Parameters
        ----------
        evaluations : EvaluationSet
            Evaluations of the models.
        abilities : ndarray of shape (n_models,)
            Their abilities.

        Returns
        -------
        ndarray of shape (n_queries,)
            Posterior modes of b_q of ``evaluations.queries``.
        """
        return posterior_modes(
            evaluations.query_codes,
            abilities[evaluations.model_codes],
            evaluations.scores.astype(np.float64),
            len(evaluations.queries),
            0.0,
            DIFFICULTY_PRECISION,
        )

    def places_of(self, queries: QuerySet) -> np.ndarray:
        """Return the positions of queries in ``keys``, -1 for unknown ones.

        A query is known by its id or text, else by its encoding: the same question may
        come under another id. Of several with equal encodings the first is taken.
        """
        places = find_sorted(self.keys, queries.keys)
        others = np.flatnonzero(places < 0)
        if len(others):
            order = np.argsort(self.vector_keys, kind="stable")
            digests = vector_keys(queries.vectors(others))
            found = find_sorted(self.vector_keys[order], digests)
            places[others] = np.where(found < 0, -1, order[found])
        return places

    def parameters_of(
        self, queries: QuerySet
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return easiness, factors and second moments of any queries."""
        places = self.places_of(queries)
        easiness, factors = self.easiness[places], self.factors[places]
        moments = self.moments[places]
        others = np.flatnonzero(places < 0)
        if len(others):
            predicted = (queries.vectors(others) - self.origin) @ self.slopes
            predicted += self.level
            easiness[others], own = predicted[:, 0], predicted[:, 1:]
            factors[others] = own
            moments[others] = own[:, :, None] * own[:, None, :] + self.spread
        return easiness, factors, moments


@dataclass(frozen=True)
class _Residuals:
    """Standardised residuals of the Rasch model, as matrices of one pattern.

    Parameters
    ----------
    values : ndarray or csr_array of shape (n_models, n_queries)
        (y - p) / s where there is an evaluation, else 0.
    seen : ndarray or csr_array of shape (n_models, n_queries)
        Ones where there is an evaluation, else 0.
    squares : ndarray of shape (n_models,)
        Sums of the squares of the residuals.
    counts : ndarray of shape (n_models,)
        Numbers of evaluations.
    """

    values: Any
    seen: Any
    squares: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(
        cls, evaluations: EvaluationSet, abilities: np.ndarray, easiness: np.ndarray
    ) -> _Residuals:
        """Compare scores with what ability and difficulty lead one to expect."""
        p = expit(
            abilities[evaluations.model_codes] + easiness[evaluations.query_codes]
        )
        residuals = (evaluations.scores - p) / score_deviations(p)
        shape = (evaluations.n_models, len(evaluations.queries))
        # Evaluations are sorted by model and query: they are the rows of a matrix.
        pattern = evaluations.query_codes, evaluations.offsets
        values = csr_array((residuals, *pattern), shape=shape)
        seen = csr_array((np.ones(len(residuals)), *pattern), shape=shape)
        squares = np.bincount(evaluations.model_codes, residuals**2)
        size = shape[0] * shape[1]
        if DENSE_FROM * size < len(residuals) and size <= MAX_MODELS * MAX_QUERIES:
            return cls(values.toarray(), seen.toarray(), squares, evaluations.sizes)
        return cls(values, seen, squares, evaluations.sizes)

    def sum_over_queries(self, moments: np.ndarray) -> np.ndarray:
        """Add up a matrix per query over those that each model was evaluated on."""
        n_queries, k, _ = moments.shape
        sums = self.seen @ moments.reshape(n_queries, k * k)
        return sums.reshape(-1, k, k)

    def sum_over_models(self, matrices: np.ndarray) -> np.ndarray:
        """Add up a matrix per model over those that were evaluated on each query."""
        n_models, k, _ = matrices.shape
        sums = self.seen.T @ matrices.reshape(n_models, k * k)
        return sums.reshape(-1, k, k)


def sample_of(evaluations: EvaluationSet) -> EvaluationSet:
    """Keep as many models and queries as factors are estimated from."""
    n_models = evaluations.n_models
    kept = np.ones(n_models, dtype=bool)
    if n_models > MAX_MODELS:
        kept[:] = False
        kept[np.linspace(0, n_models - 1, MAX_MODELS).round().astype(int)] = True
    rows = kept[evaluations.model_codes] & (evaluations.query_codes < MAX_QUERIES)
    return evaluations if rows.all() else evaluations.take(np.flatnonzero(rows))


def _dense(matrix: Any) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def score_deviations(p: np.ndarray) -> np.ndarray:
    """Return the standard deviations of right and wrong answers."""
    return np.sqrt(np.maximum(p * (1 - p), MIN_SCORE_VARIANCE))


def fit_rasch(evaluations: EvaluationSet) -> tuple[np.ndarray, np.ndarray]:
    """Estimate abilities (n_models,) and easiness (n_queries,) together."""
    models, queries = evaluations.model_codes, evaluations.query_codes
    scores = evaluations.scores.astype(np.float64)
    abilities = np.zeros(evaluations.n_models)
    easiness = np.zeros(len(evaluations.queries))
    for _ in range(RASCH_STEPS):
        abilities = newton_step(
            abilities, models, easiness[queries], scores, 0.0, ABILITY_PRECISION
        )
        easiness = newton_step(
            easiness, queries, abilities[models], scores, 0.0, DIFFICULTY_PRECISION
        )
    return abilities, easiness


def _loadings(residuals: _Residuals, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimate factor scores (n_models, n_factors) and noise (n_models,) of a pool.

    Factor analysis with the queries as the sample and the models as the variables, by
    expectation and maximisation. The prior variance of each factor's scores is
    estimated with them, so that factors without support vanish.
    """
    counts = residuals.counts
    loadings, noise = _start(residuals, n_factors)
    for _ in range(EM_STEPS):
        scales = np.maximum(np.square(loadings).mean(axis=0), SMALLEST_SCALE)
        factors, moments = _posterior_factors(residuals, loadings, noise)
        sums = residuals.sum_over_queries(moments)
        weighted = residuals.values @ factors
        penalties = noise[:, None, None] * np.diag(1 / scales)
        loadings = np.linalg.solve(sums + penalties, weighted[:, :, None])[:, :, 0]
        errors = residuals.squares - 2 * (loadings * weighted).sum(axis=1)
        errors += np.einsum("mi,mij,mj->m", loadings, sums, loadings)
        pooled = errors.sum() / counts.sum()
        noise = (errors + NOISE_PRIOR * pooled) / (counts + NOISE_PRIOR)
        noise = noise.clip(MIN_NOISE, MAX_NOISE)
        # The model says that factors have unit covariance: what EM learns of their
        # scale goes into the scores (parameter expansion), or it would creep.
        loadings = loadings @ np.linalg.cholesky(moments.mean(axis=0))
    # Any rotation fits as well: take the one whose factors are uncorrelated among
    # models, the strongest first.
    left, singular, _ = np.linalg.svd(loadings, full_matrices=False)
    return left * singular, noise


def _start(residuals: _Residuals, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Begin with the leading directions of the models' covariance."""
    covariance = _covariance(residuals)
    noise = np.diag(covariance).clip(0.1, MAX_NOISE)
    return leading_loadings(covariance, n_factors), noise


def _covariance(residuals: _Residuals) -> np.ndarray:
    """Return the mean products of residuals on common queries: (n_models, n_models)."""
    common = _dense(residuals.seen @ residuals.seen.T)
    covariance = _dense(residuals.values @ residuals.values.T)
    return np.where(common < MIN_COMMON, 0, covariance / np.maximum(common, 1))


def leading_loadings(covariance: np.ndarray, n_factors: int = N_FACTORS) -> np.ndarray:
    """Approximate a covariance of models by factors: (n_models, n_factors) at most."""
    ascending, directions = eigh(covariance)
    values, vectors = ascending[::-1][:n_factors], directions[:, ::-1][:, :n_factors]
    signal = values - np.median(np.diag(covariance)) / 2
    signal = np.maximum(signal, 0.02 * max(values[0], SMALLEST_SCALE))
    return vectors * np.sqrt(signal)


def _posterior_factors(
    residuals: _Residuals, loadings: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means (n_queries, k) and second moments of the queries' factors."""
    weighted = loadings / noise[:, None]
    outer = loadings[:, :, None] * weighted[:, None, :]
    precisions = residuals.sum_over_models(outer) + np.eye(loadings.shape[1])
    covariances = np.linalg.inv(precisions)
    factors = np.einsum("qij,qj->qi", covariances, residuals.values.T @ weighted)
    return factors, covariances + factors[:, :, None] * factors[:, None, :]


def _linear_map(
    encodings: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a ridge regression: origin, slopes and value at the origin."""
    X = encodings.astype(np.float64)
    origin, level = X.mean(axis=0), targets.mean(axis=0)
    X -= origin
    gram = X.T @ X
    penalty = RIDGE * np.trace(gram) / len(gram)
    gram += (penalty or 1.0) * np.eye(len(gram))
    return origin, np.linalg.solve(gram, X.T @ (targets - level)), level
