"""The LOCUS router."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import pairwise_distances

from skl_locus._checks import check_at_least
from skl_locus._decisions import nearest_others
from skl_locus._embedder import LocusEmbedder
from skl_locus._evaluations import EvaluationSet, positions_of
from skl_locus._local import LocalEvidence, fit_local_evidence, refit_clusters
from skl_locus._locus import LocusParameters
from skl_locus._network_state import PackedPredictor
from skl_locus._parameter_docs import documented
from skl_locus._pool import Pool
from skl_locus._routing import RouterMixin


@dataclass(frozen=True)
class LocusPool(Pool):
    """Embeddings, the predictor packed for them, and the local evidence."""

    embeddings: np.ndarray
    predictor: PackedPredictor
    local: LocalEvidence | None

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct) as the weighed logits of network and evidence."""
        logits = self.predictor.take(columns).logits(encodings)
        if self.local is not None:
            logits = self.local.logits(encodings, logits, columns)
        return expit(logits)


@documented("; never read by a router, which takes ``y``")
class LocusRouter(RouterMixin, LocusParameters):
    """Route queries to the model most likely to answer them correctly.

    Learns an embedding per model and a predictor of P(model answers query) from a
    log of evaluations (LOCUS, paper sections 2 and 3.1). New models are added with
    some of their evaluations and no training. The predictor's logit is weighed
    against the model's own scores on similar queries, with weights that all models
    share.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    models_ : ndarray of shape (n_models,), object
        Labels: sorted at fit, additions appended.
    embeddings_ : ndarray of shape (n_models, n_components)
        One row per entry of ``models_``.
    embedder_ : LocusEmbedder
        The trained encoder, which can embed other models.
    classes_ : ndarray of shape (2,)
        [0, 1]: wrong, correct.
    query_encoder_ : QueryEncoder or None
        The fitted encoder of texts.
    {training_attributes}

    See Also
    --------
    LocusEmbedder : Only the embeddings.
    KMeansRouter, KNNRouter, BestSingleRouter : Simpler routers.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    >>> router.correctness_matrix(pool.encodings[:3]).shape
    (3, 6)
    """

    embedder_: LocusEmbedder

    @property
    def embeddings_(self) -> np.ndarray:
        """Embeddings in the order of ``models_``: (n_models, n_components)."""
        return self._locus_pool().embeddings

    def neighbors(
        self, model: Any, k: int = 5, *, metric: str = "euclidean"
    ) -> pd.Series:
        """Find the models whose embeddings are nearest to one model's.

        Parameters
        ----------
        model : label
            A model of the pool.
        k : int, default=5
            Number of neighbours; fewer come back where the pool has fewer.
        metric : str, default="euclidean"
            A metric of `sklearn.metrics.pairwise_distances`.

        Returns
        -------
        Series of shape (k,)
            Distances indexed by label, nearest first.
        """
        pool = self._locus_pool()
        check_at_least(k, "k")
        (column,) = pool.columns_of([model])
        distances = pairwise_distances(
            pool.embeddings[[column]], pool.embeddings, metric=metric
        )[0]
        nearest = nearest_others(distances[None], np.array([column]), k)[0]
        index = pd.Index(pool.models[nearest].tolist(), name=self.model_col)
        return pd.Series(distances[nearest], index, name="distance")

    def fallback_table(self, k: int = 5, *, metric: str = "euclidean") -> pd.DataFrame:
        """List the substitutes of every model, nearest embedding first.

        What ``route(..., fallback="neighbor")`` uses, for a gateway to keep.

        Parameters
        ----------
        k : int, default=5
            Substitutes per model; fewer where the pool has fewer.
        metric : str, default="euclidean"
            A metric of `sklearn.metrics.pairwise_distances`.

        Returns
        -------
        DataFrame of shape (n_models, k)
            Labels, one row per model of ``models_``, columns 1 to k.
        """
        pool = self._locus_pool()
        check_at_least(k, "k")
        columns = np.arange(len(pool.models))
        distances = pairwise_distances(pool.embeddings, metric=metric)
        nearest = nearest_others(distances, columns, k)
        index = pd.Index(pool.models.tolist(), name=self.model_col)
        ranks = pd.RangeIndex(1, nearest.shape[1] + 1, name="substitute")
        return pd.DataFrame(pool.models[nearest], index, ranks)

    def _locus_pool(self) -> LocusPool:
        pool = self._fitted_pool()
        assert isinstance(pool, LocusPool)
        return pool

    def _make_pool(self, evaluations: EvaluationSet) -> LocusPool:
        held_out = self._train(
            evaluations, hold_out=self.early_stopping or self.local_evidence
        )
        self.embedder_ = self._shared_embedder()
        embeddings = self._embed(evaluations)
        local = None
        if self.local_evidence:
            local = self._fit_local(evaluations, held_out)
        return LocusPool(
            evaluations.model_names,
            evaluations,
            embeddings,
            self._state.pack(embeddings),
            local,
        )

    def _fit_local(
        self, evaluations: EvaluationSet, held_out: np.ndarray
    ) -> LocalEvidence:
        """Weigh the evidence on queries that the network was not trained on."""
        if not held_out.any():
            return fit_local_evidence(evaluations, None, None)
        seen = evaluations.take(np.flatnonzero(~held_out))
        unseen = evaluations.take(np.flatnonzero(held_out))
        predictor = self._state.pack(self._embed(seen))
        logits = predictor.logits(unseen.queries.vectors())
        return refit_clusters(fit_local_evidence(seen, unseen, logits), evaluations)

    def _shared_embedder(self) -> LocusEmbedder:
        embedder = LocusEmbedder(**self.get_params(deep=False))
        for name in (*TRAINED_ATTRIBUTES, "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(embedder, name, getattr(self, name))
        return embedder

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> LocusPool:
        pool = self._locus_pool()
        embeddings = np.empty(
            (len(models), pool.embeddings.shape[1]), dtype=pool.embeddings.dtype
        )
        kept = np.array([name not in changed for name in models], dtype=bool)
        embeddings[kept] = pool.embeddings[pool.columns_of(models[kept])]
        if changed:
            some = evaluations.only_models(changed)
            order = positions_of(models[~kept], some)
            embeddings[~kept] = self._embed(some)[order]
        return LocusPool(
            models,
            evaluations,
            embeddings,
            self._state.pack(embeddings),
            None if pool.local is None else pool.local.on(evaluations, models),
        )

    def _fallback_distances(
        self, pool: Pool, columns: np.ndarray, fallback: str
    ) -> np.ndarray | None:
        if fallback != "neighbor":
            return super()._fallback_distances(pool, columns, fallback)
        assert isinstance(pool, LocusPool)
        return pairwise_distances(pool.embeddings[columns])


TRAINED_ATTRIBUTES = (
    "_state",
    "device_",
    "loss_curve_",
    "validation_scores_",
    "n_iter_",
    "best_iter_",
    "query_encoder_",
)
