"""The LOCUS router."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.fit import fit_evidence
from skl_locus._evidence.packed import PackedEvidence
from skl_locus._evidence.stack import EvidenceStack
from skl_locus._locus.embedder import LocusEmbedder
from skl_locus._locus.parameters import LocusParameters
from skl_locus._networks.locus_state import PackedPredictor
from skl_locus._networks.training_parameters import split_at
from skl_locus._routing.embedding_base import EmbeddingRouterMixin
from skl_locus._routing.pool import EmbeddingPool
from skl_locus._utils.docstrings import documented


@dataclass(frozen=True)
class LocusPool(EmbeddingPool):
    """Embeddings and stacked evidence, each packed for prediction.

    Parameters
    ----------
    predictor : PackedPredictor
        The network's predictor for the embeddings.
    evidence : EvidenceStack or None
        What the models' own scores say.
    packed_evidence : PackedEvidence or None
        The same, ready to predict.
    """

    predictor: PackedPredictor
    evidence: EvidenceStack | None
    packed_evidence: PackedEvidence | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        packed = None if self.evidence is None else self.evidence.pack()
        object.__setattr__(self, "packed_evidence", packed)

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct) from the weighted logits of network and evidence."""
        return self.scores_and_probabilities(encodings, columns)[1]

    def scores_and_probabilities(
        self, encodings: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what decides between models, and P(correct)."""
        logits = self.predictor.take(columns).logits(encodings)
        if self.packed_evidence is None:
            probabilities = expit(logits)
            return probabilities, probabilities
        evidence = self.packed_evidence.take(columns)
        decisions, logits = evidence.scores_and_probabilities(encodings, logits)
        return expit(decisions), expit(logits)


@documented("; never read by a router, which takes ``y``")
class LocusRouter(EmbeddingRouterMixin, LocusParameters):
    """Route queries to the model most likely to answer them correctly.

    Learns an embedding per model and a predictor of P(model answers query) from a
    log of evaluations (LOCUS, paper sections 2 and 3.1). New models are added with
    some of their evaluations and no training. The predictor's logit is weighed
    against the model's own scores on like queries, with weights that all models
    share; `route` weighs the same evidence a little differently from P(correct), so
    that `routing_scores` are not probabilities.

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

    _evidence_config = EvidenceConfig()
    """What is set in the evidence; studies set another one before `fit`."""

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
        evidence = None
        if self.local_evidence:
            evidence = self._fit_evidence(evaluations, held_out)
        return LocusPool(
            evaluations.model_names,
            evaluations,
            embeddings,
            self._network.pack(embeddings),
            evidence,
        )

    def _fit_evidence(
        self, evaluations: EvaluationSet, held_out: np.ndarray
    ) -> EvidenceStack:
        """Weigh the evidence on queries that the network was not trained on."""
        config = self._evidence_config
        seen, unseen = split_at(evaluations, held_out)
        if unseen is None:
            return fit_evidence(evaluations, held_out, np.empty(0), config)
        # Embeddings for this are made without the held-out queries, as embeddings of
        # new models will be made without the queries that they are asked next.
        columns = seen.index_of(unseen.model_names)
        predictor = self._network.pack(self._embed(seen)).take(columns)
        logits = predictor.logits(unseen.queries.vectors())
        held_out_logits = logits[unseen.query_codes, unseen.model_codes]
        return fit_evidence(evaluations, held_out, held_out_logits, config)

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
        embeddings = self._updated_embeddings(models, evaluations, changed, self._embed)
        evidence = pool.evidence
        if evidence is not None:
            evidence = evidence.updated(evaluations, models, changed)
        return LocusPool(
            models, evaluations, embeddings, self._network.pack(embeddings), evidence
        )


TRAINED_ATTRIBUTES = (
    "_network",
    "device_",
    "loss_curve_",
    "validation_scores_",
    "n_iter_",
    "best_iter_",
    "query_encoder_",
)
