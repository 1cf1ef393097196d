"""The LOCUS router."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from skl_locus._data.columns import as_frame
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.schema import Columns
from skl_locus._data.stored_logs import (
    BlockReader,
    EvaluationLog,
    columns_of_stored,
)
from skl_locus._estimation.arrays import NUMPY, solving_with
from skl_locus._estimation.factors import FactorModel
from skl_locus._evidence.config import EvidenceConfig
from skl_locus._evidence.contributions import (
    NETWORK,
    Contributions,
    contributions_of,
    only_part,
)
from skl_locus._evidence.coverage import narrow_coverage
from skl_locus._evidence.fit import fit_evidence
from skl_locus._evidence.packed import MAX_LOGIT, PackedEvidence
from skl_locus._evidence.stack import EvidenceStack
from skl_locus._locus.collapse import HeldOutCheck
from skl_locus._locus.embedder import LocusEmbedder
from skl_locus._locus.explanation import RouteExplanation
from skl_locus._locus.explanation_tables import explain_batch
from skl_locus._locus.parameters import LocusParameters
from skl_locus._locus.similar_queries import query_names
from skl_locus._networks.locus_state import PackedPredictor
from skl_locus._networks.training_parameters import split_at
from skl_locus._routing.embedding_base import EmbeddingRouterMixin
from skl_locus._routing.pool import EmbeddingPool, available_columns
from skl_locus._utils.blas_threads import map_rows, undivided_if_small
from skl_locus._utils.estimators import atomic_fit
from skl_locus._utils.progress import progress_bar, reported_fit
from skl_locus._utils.user_warnings import warn_user
from skl_locus._utils.validation import check_at_least
from skl_locus.exceptions import NarrowCoverageWarning

if TYPE_CHECKING:
    from skl_locus._torch.device_pool import DevicePool

MIN_SCORES_ON_DEVICE = 65_536
"""Scores of a block from which on it is computed on the device of the fit. A core takes
about 12 ms for so many, sixteen cores one; a device takes about one for some fifty
launches and the copies of 600 encodings."""


@dataclass(frozen=True)
class LocusPool(EmbeddingPool):
    """Embeddings and stacked evidence, each packed for prediction.

    Parameters
    ----------
    predictor : PackedPredictor
        The network's predictor, with the network's own embeddings of the models.
    evidence : EvidenceStack or None
        Evidence from the models' own scores.
    packed_evidence : PackedEvidence or None
        The same evidence, packed for prediction.
    means_only : bool, default=False
        Whether the log of the fit has one encoding only: nothing is known of what
        differs between queries.
    specific_variances : ndarray of shape (n_models,) or None
        What the embeddings leave out; None in files of earlier versions.
    device : str, default="cpu"
        Device on which large blocks of queries are scored.
    means : ndarray of shape (n_models,) or None
        Mean score of each model, if it is P(correct) of every query.
    """

    predictor: PackedPredictor
    evidence: EvidenceStack | None
    means_only: bool = False
    specific_variances: np.ndarray | None = None
    device: str = "cpu"
    packed_evidence: PackedEvidence | None = field(init=False, repr=False)
    means: np.ndarray | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        packed = None if self.evidence is None else self.evidence.pack()
        object.__setattr__(self, "packed_evidence", packed)
        if self.means_only:
            order = self.evaluations.index_of(self.models)
            means = self.evaluations.model_means()[order].astype(np.float32)
            object.__setattr__(self, "means", means)

    @property
    def network_embeddings(self) -> np.ndarray:
        """The network's own embeddings, whatever the geometry: (n_models, d)."""
        return self.predictor.embeddings[:, :-1]  # it keeps a column of ones

    def correctness(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return P(correct) from the weighted logits of network and evidence."""
        if self.means is not None:
            return self._constant(len(encodings), columns)
        on_device = self._on_device(len(encodings) * len(columns))
        if on_device is not None:
            return on_device.correctness(encodings, columns)
        predictor, evidence = self._of(columns)

        def some(rows: slice) -> np.ndarray:
            logits = predictor.logits(encodings[rows])
            if evidence is not None:
                logits = evidence.logits(encodings[rows], logits)
            return expit(logits, out=logits)

        return _joined_rows(map_rows(some, len(encodings), len(columns)))

    def scores_and_probabilities(
        self, encodings: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return decision scores and P(correct), each (n_queries, n_columns)."""
        if self.means is not None:
            probabilities = self._constant(len(encodings), columns)
            return probabilities, probabilities
        on_device = self._on_device(len(encodings) * len(columns))
        if on_device is not None:
            return on_device.scores_and_probabilities(encodings, columns)
        predictor, evidence = self._of(columns)
        if evidence is None:
            probabilities = self.correctness(encodings, columns)
            return probabilities, probabilities

        def some(rows: slice) -> tuple[np.ndarray, np.ndarray]:
            logits = predictor.logits(encodings[rows])
            both = evidence.scores_and_probabilities(encodings[rows], logits)
            decisions, logits = both
            return expit(decisions, out=decisions), expit(logits, out=logits)

        parts = map_rows(some, len(encodings), len(columns))
        decisions, probabilities = map(_joined_rows, zip(*parts, strict=True))
        return decisions, probabilities

    def _on_device(self, n_scores: int) -> DevicePool | None:
        """Return the copy on a device, if there is one and the block is worth it."""
        if self.device == "cpu" or n_scores < MIN_SCORES_ON_DEVICE:
            return None
        try:
            from skl_locus._torch.device_pool import device_pool_of
        except ModuleNotFoundError:
            return None  # a router is served without torch, wherever it was fitted
        return device_pool_of(
            self, self.predictor, self.packed_evidence, MAX_LOGIT, self.device
        )

    def _of(self, columns: np.ndarray) -> tuple[PackedPredictor, PackedEvidence | None]:
        """Return what predicts some of the models."""
        evidence = self.packed_evidence
        if evidence is not None:
            evidence = evidence.take(columns)
        return self.predictor.take(columns), evidence

    def contributions(
        self, encodings: np.ndarray, columns: np.ndarray
    ) -> Contributions:
        """Split predictions into their parts: (n_queries, n_columns, n_parts)."""
        if self.means is not None:
            return only_part("mean", logit(self._constant(len(encodings), columns)))
        logits = self.predictor.take(columns).logits(encodings)
        if self.evidence is None:
            return only_part(NETWORK, logits)
        return contributions_of(self.evidence, encodings, logits, columns)

    def left_out(self) -> np.ndarray | None:
        """Return the specific variances."""
        return self.specific_variances

    def _constant(self, n_queries: int, columns: np.ndarray) -> np.ndarray:
        """Repeat the means, where nothing is known of what differs between queries."""
        assert self.means is not None
        return np.tile(self.means[columns], (n_queries, 1))


def _joined_rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class LocusRouter(EmbeddingRouterMixin[LocusPool], LocusParameters):
    """Route each query to the model most likely to answer it correctly.

    The router learns an embedding of each model, and a predictor of the probability
    that a model answers a query correctly, from a log of evaluations (LOCUS, paper
    sections 2 and 3.1). New models are added with some of their evaluations and without
    training.

    The logit of the predictor is combined with evidence from the model's own scores on
    similar queries, with weights shared by all models. `route` uses other weights than
    `predict_proba`, so `routing_scores` are not probabilities.

    Parameters
    ----------
    n_components : int, default=128
        Length of an embedding and width d of the network.
    n_latents : int, default=32
        Number r of latents in a bottleneck block (eq. 2).
    n_layers : int, default=1
        Number L of blocks.
    n_heads : int, default=4
        Number of attention heads. If it does not divide ``n_components``, the
        largest smaller number that does is used.
    dim_feedforward : int, default=None
        Hidden width of the feed-forward layers; None means twice ``n_components``.
    attention : {"latent", "full"}, default="latent"
        Form of the attention: "latent" is a bottleneck of latents, with a cost
        linear in the number of evaluations; "full" is plain self-attention, with a
        quadratic cost.
    predictor_hidden : int, default=64
        Hidden width of the correctness predictor.
    n_inputs : int, default=64
        Number of principal components of the encodings that enter the network, half
        whitened; None keeps all.
    bilinear : bool, default=True
        Whether the predictor adds z.u / sqrt(d) to its logit.
    geometry : {"scores", "network"}, default="scores"
        Coordinates of the embeddings. "scores": the Euclidean distance between two
        models is the root mean square difference of their scores on the known
        queries, where scores that were not observed are expected from a factor model.
        "network": the output of the attention encoder, as in the paper, whose
        distances show little beside ability. Predictions are the same for both.
    local_evidence : bool, default=True
        Whether the router combines the prediction of the network with stacked
        evidence from the model's own scores on similar queries.
        ``local_evidence=False, bilinear=False`` is the paper's method.
    dropout : float, default=0.1
        Share of the residual branches dropped in training.
    query_noise : float, default=1.0
        Standard deviation of the Gaussian noise added to the network's inputs in
        training; the inputs have unit variance.
    max_iter : int, default=250
        Maximum number of optimiser steps.
    batch_size : int, default=8
        Number of models per step.
    min_context, max_context : int, default=32, 256
        Range of the number of evaluations per model that the encoder receives in
        training. Embeddings are made from all evaluations.
    n_targets : int, default=256
        Maximum number of queries per model in the loss of a step.
    learning_rate_init : float, default=1e-3
        Highest learning rate of AdamW.
    alpha : float, default=0.05
        Weight decay.
    ema_decay : float, default=0.98
        Decay of the moving average of the weights; the average is what is kept.
    early_stopping : bool, default=True
        Whether to stop when the log loss on held-out queries no longer falls.
    validation_fraction : float, default=0.15
        Share of the queries held out of the network's training, for early stopping
        and for the weights of the local evidence. With fewer than 10 queries, none
        are held out.
    n_iter_no_change : int, default=6
        Number of checks without improvement before the training stops. There are 24
        checks in ``max_iter`` steps.
    tol : float, default=1e-4
        Smallest decrease of the log loss that counts as an improvement.
    random_state : int, RandomState or None, default=None
        Seed of all randomness; the global random generators are not touched.
    device : str, default="auto"
        Name of a torch device, or "auto": CUDA if available, else MPS, for fits that
        are large enough for it, else the CPU.
    precision : {"auto", "float32", "float64", "mixed", "bfloat16"}, default="auto"
        Arithmetic of the training; "auto" is mixed precision for large steps on CUDA
        and float32 otherwise. "bfloat16" trains like "auto" and rounds the products
        when models are embedded: faster on processors with bfloat16 arithmetic, and
        probabilities differ by about 0.001.
    verbose : int, default=0
        1 shows a progress bar of each step that takes more than two seconds and, at
        the end of `fit`, a line of what was learned, both on standard error.
    warm_start : bool, default=False
        Whether to continue from the network of the previous fit.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
    score_col : str, default="score"
        Name of the column with the scores. A router never reads them there: it takes
        ``y``.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair; "raise" makes them an
        error.

    Attributes
    ----------
    models_ : ndarray of shape (n_models,), object
        Labels of the models: sorted at `fit`, additions appended.
    embeddings_ : ndarray of shape (n_models, n_components)
        Embeddings of the models, one row per entry of ``models_``.
    specific_variances_ : ndarray of shape (n_models,)
        What the embeddings leave out of each model's scores, as a mean square: nothing
        for a model of the fit that was evaluated on all queries, most for a new model
        with few evaluations. ``neighbors`` adds those of both models to the squared
        distance of their embeddings. Zeros if ``geometry="network"``.
    embedder_ : LocusEmbedder
        Trained encoder, which can embed other models.
    classes_ : ndarray of shape (2,)
        [0, 1] for wrong and correct; the labels in ``y`` if ``X`` is an array.
    n_features_in_ : int
        Length of a query encoding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the encoding columns. Defined only if the queries are given as
        columns.
    query_encoder_ : QueryEncoder or None
        Fitted encoder of text queries.
    n_iter_ : int
        Number of steps taken.
    best_iter_ : int
        Step after which the weights were kept.
    loss_curve_ : list of float
        Training loss of each step.
    validation_scores_ : list of float
        Negative log loss on the held-out queries at each check.
    device_ : str
        Device of the training.

    See Also
    --------
    LocusEmbedder : Embeddings only.
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

    def __sklearn_clone__(self) -> Self:
        """Copy the parameters, and the configuration that a study has set."""
        twin = super().__sklearn_clone__()
        # It is no parameter, and a search would otherwise try a router without it.
        if "_evidence_config" in vars(self):
            twin._evidence_config = self._evidence_config
        return twin

    @property
    def specific_variances_(self) -> np.ndarray:
        """What the embeddings leave out of each model's scores: (n_models,)."""
        return _joined(self._fitted_pool())[:, -1]

    @atomic_fit
    def fit(self, X: Any, y: Any) -> Self:
        """Fit the router to a log of evaluations.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns), array of shape \
                (n_rows, n_features), path, pyarrow Dataset or EvaluationLog
            One row per evaluation, with the model, the query and optionally its
            id. An array is a table of one unnamed model. Of a log on the disk, a sample
            of each model's evaluations is learned from and kept as local evidence (see
            `~skl_locus.batches.EvaluationLog`); embeddings are made from all of them.
        y : array-like of shape (n_rows,), str or None
            Scores in [0, 1]; for an array, any two classes; for a log on the disk, the
            name of their column, or None for ``score_col``.

        Returns
        -------
        self
            The fitted router.

        Raises
        ------
        ValueError
            If the table or the scores cannot be used; the router stays unchanged.
        """
        log = EvaluationLog.of(X)
        if log is None:
            return super().fit(X, y)
        with reported_fit(self):
            self._fit_stored(log, columns_of_stored(self, y))
        return self

    def _fit_stored(self, log: EvaluationLog, columns: Columns) -> None:
        sample = log.sample(columns)
        super().fit(sample.table, sample.scores)
        if not sample.complete:
            blocks = log.whole_models(columns, sample)
            read = BlockReader(self, log.queries, columns).read
            embedded = (self._embed_whole(read(block)) for block in blocks)
            pool = self._fitted_pool()
            self._pool = self._with_embedded(pool, embedded, pool.positions)

    def trust(self, queries: Any) -> np.ndarray:
        """Return how far the evidence of known queries counts for new ones.

        P(correct) and decisions fall back to the models' means where a query is far
        from all queries of the log. The trust is the weight of all that departs from
        them: 1 for a query that is as near to the centre of a cluster as 99 in 100 of
        the known queries, and less the farther it is.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.

        Returns
        -------
        ndarray of shape (n_queries,)
            Weights in [0, 1].

        Raises
        ------
        ValueError
            If the router was fitted with ``local_evidence=False``.
        """
        evidence = self._fitted_pool().evidence
        if evidence is None:
            raise ValueError(
                "The trust in a query is learned with the local evidence; fit with "
                "local_evidence=True."
            )
        batch = self._read_queries(queries)
        return evidence.trust(batch.encodings)[batch.codes]

    def explain(
        self,
        queries: Any,
        k: int = 3,
        models: Any = None,
        unavailable: Collection = (),
        *,
        n_similar: int = 5,
        log: Any = None,
    ) -> RouteExplanation:
        """Explain which models `route` prefers for each query.

        P(correct) and the decision score are split into what each part adds in
        log-odds: each feature of the local evidence, the network, and what the bounds
        of the evidence take off. What a part adds is its departure from the model's
        mean, times its weight and the trust in the query.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.
        k : int, default=3
            Number of models for each query, the best first; all if there are fewer.
        models : sequence of labels, default=None
            Models to choose among, all by default.
        unavailable : collection of labels, default=()
            Models that must not be chosen.
        n_similar : int, default=5
            Number of known queries to list for each query, the nearest first.
        log : dataframe, default=None
            The log of the fit, to call known queries by their ids or texts. A router
            keeps only digests of them.

        Returns
        -------
        RouteExplanation
            With tables and sentences; ``print`` shows the sentences.

        Notes
        -----
        Costs have no part in it. A query of the log itself is its own nearest known
        query, and predictions for it are optimistic.
        """
        pool = self._fitted_pool()
        check_at_least(k, "k")
        check_at_least(n_similar, "n_similar", 0)
        columns = pool.select(models)
        columns = columns[available_columns(self, pool, columns, unavailable)]
        batch = self._read_queries(queries)
        k, names = min(k, len(columns)), self._query_names(log)
        return explain_batch(pool, batch, columns, k, n_similar, names)

    def _query_names(self, log: Any) -> pd.Series | None:
        if log is None:
            return None
        frame = as_frame(log)
        if frame is None:
            raise ValueError(f"log must be a dataframe, got {type(log).__name__}.")
        rows = self._read_rows(log, reset=False)
        return query_names(frame, rows, self.query_id_col, self.query_col)

    def _make_pool(self, evaluations: EvaluationSet) -> LocusPool:
        with undivided_if_small(evaluations.queries.encodings.size):
            return self._fit_pool(evaluations)

    def _fit_pool(self, evaluations: EvaluationSet) -> LocusPool:
        held_out = self._train(
            evaluations, hold_out=self.early_stopping or self.local_evidence
        )
        self._fit_geometry(evaluations)
        self.embedder_ = self._shared_embedder()
        network_embeddings = self._embed_by_network(evaluations)
        embeddings, variances = network_embeddings, None
        if self._space is not None:
            embeddings, variances = self._space.embed_with_variances(evaluations)
        check = self._held_out_check(evaluations, held_out)
        evidence = None
        if self.local_evidence:
            logits = np.empty(0) if check is None else check.observed_logits()
            evidence = self._fit_evidence(evaluations, held_out, logits)
            evidence = self._completing(evidence, evaluations)
        if check is not None:
            check = replace(check, evidence=evidence)
            check.warn_if_collapsed()
            check.report()
        return LocusPool(
            evaluations.model_names,
            evaluations,
            embeddings,
            self._network.pack(network_embeddings),
            evidence,
            means_only=len(evaluations.queries.encodings) == 1,
            specific_variances=variances,
            device=self._serving_device(),
        )

    def _completing(
        self, evidence: EvidenceStack, evaluations: EvaluationSet
    ) -> EvidenceStack:
        """Prepare the evidence for new models with few evaluations."""
        if evaluations.n_models == 1:
            return evidence  # one model says nothing of what others have in common
        # Predictions do not depend on the geometry: that of the network needs factors.
        space = self._space
        model = FactorModel.fit(evaluations) if space is None else space.model
        return evidence.completing(model, evaluations.queries)

    def _serving_device(self) -> str:
        """Return where large blocks are scored: where the router was fitted."""
        # Copies on a device are in float32, which is not what float64 was asked for.
        return "cpu" if self.precision == "float64" else self.device_

    def _fit_evidence(
        self, evaluations: EvaluationSet, held_out: np.ndarray, logits: np.ndarray
    ) -> EvidenceStack:
        """Take the evidence; regressions are solved where the network was fitted."""
        from skl_locus._torch.regressions import arrays_on

        with solving_with(arrays_on(self._serving_device()) or NUMPY):
            return fit_evidence(evaluations, held_out, logits, self._evidence_config)

    def _embed_whole(
        self, evaluations: EvaluationSet
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return models, their embeddings by the network, and those that are shown."""
        by_network = self._embed_by_network(evaluations)
        return evaluations.model_names, by_network, self._embed_joined(evaluations)

    def _with_embedded(
        self, pool: LocusPool, embedded: Iterable, models: Collection
    ) -> LocusPool:
        """Put embeddings of some models into a pool."""
        encoded, joined = pool.network_embeddings.copy(), _joined(pool)
        n_models = len(models)
        with progress_bar("embed by all evaluations", n_models, unit="model") as bar:
            for names, by_network, by_geometry in embedded:
                rows = np.flatnonzero([name in models for name in names])
                columns = pool.columns_of(names[rows])
                encoded[columns] = by_network[rows]
                joined[columns] = by_geometry[rows]
                bar.advance(len(columns))
        if self._space is None:
            embeddings, variances = encoded, None
        else:
            embeddings, variances = np.ascontiguousarray(joined[:, :-1]), joined[:, -1]
        return replace(
            pool,
            embeddings=embeddings,
            predictor=self._network.pack(encoded),
            specific_variances=variances,
        )

    def _held_out_check(
        self, evaluations: EvaluationSet, held_out: np.ndarray
    ) -> HeldOutCheck | None:
        """Predict the held-out queries by the network, None if there are none."""
        seen, unseen = split_at(evaluations, held_out)
        if unseen is None:
            return None
        # Embeddings for this are made without the held-out queries, as embeddings of
        # new models will be made without the queries that they are asked next.
        columns = seen.index_of(unseen.model_names)
        predictor = self._network.pack(self._embed_by_network(seen)).take(columns)
        logits = predictor.logits(unseen.queries.vectors())
        return HeldOutCheck(seen, unseen, columns, logits)

    def _shared_embedder(self) -> LocusEmbedder:
        embedder = LocusEmbedder(**self.get_params(deep=False))
        for name in (*TRAINED_ATTRIBUTES, "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(embedder, name, getattr(self, name))
        return embedder

    def _update_pool(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> LocusPool:
        with undivided_if_small(evaluations.queries.encodings.size):
            return self._with_changed(models, evaluations, changed)

    def _with_changed(
        self, models: np.ndarray, evaluations: EvaluationSet, changed: Collection
    ) -> LocusPool:
        pool = self._fitted_pool()
        new = models, evaluations, changed
        encoded = self._updated(pool.network_embeddings, *new, self._embed_by_network)
        embeddings, variances = encoded, None
        if self._space is not None:
            joined = self._updated(_joined(pool), *new, self._embed_joined)
            embeddings, variances = np.ascontiguousarray(joined[:, :-1]), joined[:, -1]
        evidence = pool.evidence
        if evidence is not None:
            with progress_bar("local evidence", len(changed), unit="model") as bar:
                evidence = evidence.updated(evaluations, models, changed)
                bar.advance(len(changed))
        predictor = self._network.pack(encoded)
        # Decided at fit: a new model with other queries changes nothing for the others.
        means_only = pool.means is not None
        return LocusPool(
            models,
            evaluations,
            embeddings,
            predictor,
            evidence,
            means_only,
            variances,
            self._serving_device(),
        )

    def _check_added(self, added: list, updated: LocusPool) -> None:
        """Warn of new models whose queries are no sample of the known ones."""
        known = self._fitted_pool()
        if known.evidence is None:
            return
        clusters = known.evidence.shared.novelty.clusters
        _warn_of(
            narrow_coverage(clusters, known.evaluations, updated.evaluations, added)
        )

    def _embed_joined(self, evaluations: EvaluationSet) -> np.ndarray:
        """Embed models, each with its specific variance in a last column."""
        return np.column_stack(self._embed_with_variances(evaluations))


def _warn_of(narrow: dict) -> None:
    """Warn of models with narrow coverage, if there are any."""
    if not narrow:
        return
    model, (covered, expected) = next(iter(narrow.items()))
    others = f" (and {len(narrow) - 1} more models)" if len(narrow) > 1 else ""
    warn_user(
        f"The evaluations of {model!r}{others} are from a narrow part of the known "
        f"queries: clusters that hold {covered:.0%} of them, where as many queries "
        f"drawn at random would meet {expected:.0%}. Its mean is then that of this "
        "part; evaluate a new model on queries drawn at random (.sample, not .head of "
        "a log sorted by task), or chosen by adaptive.AdaptiveEvaluation.",
        NarrowCoverageWarning,
    )


def _joined(pool: LocusPool) -> np.ndarray:
    """Return embeddings with the specific variances in a last column."""
    variances = pool.specific_variances
    if variances is None:
        variances = np.zeros(len(pool.models), pool.embeddings.dtype)
    return np.column_stack([pool.embeddings, variances])


TRAINED_ATTRIBUTES = (
    "_network",
    "_space",
    "device_",
    "loss_curve_",
    "validation_scores_",
    "n_iter_",
    "best_iter_",
    "query_encoder_",
    "_typical",
)
