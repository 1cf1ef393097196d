"""The transformer from evaluations to model embeddings."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.columns import as_frame, merge_labels, read_column
from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._data.reader import RowCodes
from skl_locus._data.scores import read_scores, warn_if_constant
from skl_locus._data.stored_logs import (
    BlockReader,
    EvaluationLog,
    columns_of_stored,
)
from skl_locus._locus.parameters import LocusParameters
from skl_locus._networks.held_out_report import report_held_out
from skl_locus._networks.training_parameters import split_at
from skl_locus._utils.blas_threads import undivided_if_small
from skl_locus._utils.estimators import atomic_fit
from skl_locus._utils.model_frames import ModelFrameMixin
from skl_locus._utils.progress import (
    is_reported,
    learned,
    progress_shown,
    reported_fit,
)

UNSCORED = 0.5
"""Score given to the rows of an array, which has no scores."""


class LocusEmbedder(ModelFrameMixin, LocusParameters):
    """Embed models from their evaluations, one row per model.

    An attention encoder maps the set of a model's scored queries to one vector, in one
    deterministic pass that does not depend on the order of the queries (paper, sections
    2.1 and 2.3). `fit` trains the encoder; `transform` embeds any models, seen in `fit`
    or new.

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
        Name of the column with the scores; not read if ``y`` is given.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair; "raise" makes them an
        error.

    Attributes
    ----------
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
    LocusRouter : Prediction and routing with such embeddings.

    Notes
    -----
    The samples of the output are models, not rows of the input. An array is a table of
    one unnamed model; it is accepted to comply with scikit-learn's conventions, and
    `transform` embeds it with the score 0.5 in each row.

    Examples
    --------
    >>> from skl_locus import LocusEmbedder
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> embedder = LocusEmbedder(n_components=16, max_iter=20, random_state=0)
    >>> embedder.fit_transform(log).shape
    (6, 16)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the encoder.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns), array of shape \
                (n_rows, n_features), path, pyarrow Dataset or EvaluationLog
            One row per evaluation. A log on the disk is sampled, see
            `~skl_locus.batches.EvaluationLog`.
        y : array-like of shape (n_rows,), default=None
            Scores in [0, 1]; by default the score column of ``X``.

        Returns
        -------
        self
            The fitted embedder.

        Raises
        ------
        ValueError
            If the table or the scores cannot be used; the embedder stays unchanged.
        """
        log = EvaluationLog.of(X)
        if log is None:
            self._fit(X, y)
        else:
            self._fit_stored(log, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Train the encoder and embed the models of the training table.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns) or array of shape \
                (n_rows, n_features)
            One row per evaluation.
        y : array-like of shape (n_rows,), default=None
            Scores in [0, 1]; by default the score column of ``X``.

        Returns
        -------
        DataFrame or ndarray of shape (n_models, n_components)
            Embeddings, as `transform` returns them.
        """
        self._check_container()
        return self._as_output(self._fit(X, y), X)

    def transform(self, X: Any) -> Any:
        """Embed the models of a table.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns), array of shape \
                (n_rows, n_features), path, pyarrow Dataset, EvaluationLog or iterable
            One row per evaluation; a dataframe must have the score column. What comes
            in parts, also an iterable of dataframes or record batches, is read some
            models at a time.

        Returns
        -------
        DataFrame or ndarray of shape (n_models, n_components)
            Embeddings. For a dataframe, the index is the model, sorted by label.
        """
        check_is_fitted(self)
        self._check_container()
        with progress_shown(self.verbose):
            log = EvaluationLog.of_stream(X)
            if log is not None:
                return self._embed_in_parts(log)
            rows = self._read_rows(X, reset=False)
            return self._as_output(self._scored(X, None, rows), X)

    def _embed_in_parts(self, log: EvaluationLog) -> Any:
        """Embed the models of a log that is not read as one table."""
        reader = BlockReader(self, log.queries)
        names: list = []
        parts = []
        for block in log.blocks(reader.columns):
            evaluations = reader.read(block)
            names += evaluations.model_names.tolist()
            parts.append(self._embed(evaluations))
        if not parts:
            raise ValueError("The log is empty (0 rows); pass at least one row.")
        codes, labels = merge_labels(label_array(names))
        # Every model is in one block, so that the codes are an order of the rows.
        embeddings = np.concatenate(parts)[np.argsort(codes)]
        return self._model_frame(embeddings, label_array(labels))

    @property
    def _n_features_out(self) -> int:
        return self._network.config["n_components"]

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network."""
        return hasattr(self, "_network")

    @atomic_fit
    def _fit(self, X: Any, y: Any) -> EvaluationSet:
        self._validate_params()
        with reported_fit(self):
            return self._fit_table(X, y)

    def _fit_table(self, X: Any, y: Any) -> EvaluationSet:
        target = self._score_column(X) if y is None else y
        rows = self._read_rows(X, reset=True, y=target)
        if rows.labels is not None and len(rows.labels) < 2:
            raise ValueError(
                f"The column {self.model_col!r} has one model only "
                f"({rows.labels[0]!r}); at least two are needed to learn from."
            )
        evaluations = self._scored(X, y, rows)
        if rows.labels is not None or y is not None:
            warn_if_constant(evaluations.scores)
        learned(evaluations.described())
        with undivided_if_small(evaluations.queries.encodings.size):
            held_out = self._train(evaluations, hold_out=self.early_stopping)
            self._fit_geometry(evaluations)
        if is_reported():  # a split copies the evaluations
            report_held_out(*split_at(evaluations, held_out), self.validation_scores_)
        return evaluations

    def _fit_stored(self, log: EvaluationLog, y: Any) -> None:
        """Train on a sample of a log that is larger than memory."""
        columns = columns_of_stored(self, y)
        sample = log.sample(columns)
        self._fit(sample.table, sample.scores)

    def _scored(self, X: Any, y: Any, rows: RowCodes) -> EvaluationSet:
        """Join rows with their scores: ``y``, or the score column of a frame."""
        column = self._score_column(X)
        if y is not None:
            named = rows.labels is not None
            scores = (read_scores if named else _unnamed_scores)(y, len(rows))
        elif column is not None:
            scores = read_scores(column, len(rows), repr(self.score_col))
        elif rows.labels is None:
            scores = np.full(len(rows), UNSCORED, dtype=np.float32)
        else:
            raise ValueError(
                f"The column {self.score_col!r} is missing: embeddings are made from "
                "scores; name yours with score_col= or pass y to fit."
            )
        return self._evaluations_of(rows, scores)

    def _score_column(self, X: Any) -> Any:
        frame = as_frame(X)
        if frame is None or self.score_col not in frame.columns:
            return None
        return read_column(frame, self.score_col)

    def _as_output(self, evaluations: EvaluationSet, X: Any) -> Any:
        embeddings = self._embed(evaluations)
        if as_frame(X) is None:
            return embeddings
        return self._model_frame(embeddings, evaluations.model_names)


def _unnamed_scores(y: Any, n_rows: int) -> np.ndarray:
    """Map the labels of an array's rows to scores in [0, 1]."""
    labels = column_or_1d(y)
    assert_all_finite(labels, input_name="y")
    if labels.dtype.kind in "biuf" and labels.min() >= 0 and labels.max() <= 1:
        return read_scores(y, n_rows)
    classes, codes = np.unique(labels, return_inverse=True)
    return read_scores(codes / max(1, len(classes) - 1), n_rows)
