"""IRT-Net: item response theory with a network for the items."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._networks.training_parameters import TRAINING_CONSTRAINTS
from skl_locus._networks.vector_state import ItemResponsePredictor, ItemResponseShape
from skl_locus.baselines._free_vectors import FreeVectorRouter


class IRTRouter(FreeVectorRouter):
    """Predict by item response theory, with free vectors as the models' abilities.

    IRT-Net (Chen et al., arXiv 2510.00844) predicts logit P(correct) = a . theta - b.
    The ability theta of the model is a trained vector. The discrimination a and the
    difficulty b of the query come from a mixture of experts: networks with one hidden
    layer, weighted by a softmax of the query.

    The vector of a new model is trained on its evaluations alone, without noise and
    with everything else frozen (LOCUS paper, eq. 18). It starts from the mean of the
    vectors of `fit`.

    Parameters
    ----------
    n_components : int, default=128
        Length of an embedding.
    n_experts : int, default=8
        Number of networks in the mixture.
    hidden_size : int, default=64
        Width of the hidden layer of each network.
    query_noise : float, default=0.0
        Standard deviation of the Gaussian noise added to the encodings in `fit`.
    max_iter : int, default=5000
        Maximum number of optimiser steps.
    batch_size : int, default=2048
        Number of evaluations per step.
    learning_rate_init : float, default=1e-4
        Learning rate of Adam, constant.
    alpha : float, default=0.0
        Weight decay, decoupled from the gradient as in AdamW.
    early_stopping : bool, default=True
        Whether to stop when the log loss on held-out queries no longer falls, and
        keep the best weights. The vector of a new model is trained in the same way,
        on its own queries.
    validation_fraction : float, default=0.15
        Share of the queries held out for early stopping. With fewer than 10 queries,
        none are held out.
    n_iter_no_change : int, default=10
        Number of checks without improvement before the training stops. There are 100
        checks in ``max_iter`` steps.
    tol : float, default=1e-4
        Smallest decrease of the log loss that counts as an improvement.
    random_state : int, RandomState or None, default=None
        Seed of all randomness; the global random generators are not touched.
    device : str, default="auto"
        Name of a torch device, or "auto": CUDA if available, else MPS, for fits that
        are large enough for it, else the CPU.
    precision : {"auto", "float32", "float64", "mixed"}, default="auto"
        Arithmetic of the training; "auto" is mixed precision for large steps on CUDA
        and float32 otherwise.
    verbose : int, default=0
        1 shows a progress bar of each step that takes more than two seconds and, at
        the end of `fit`, a line of what was learned, both on standard error.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
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
    EmbedLLMRouter : Free vectors times a map of the query.
    LocusRouter : Vectors from an encoder; no training for a new model.

    Notes
    -----
    Sizes and optimisation are this package's own, chosen close to `EmbedLLMRouter`. All
    experts take part in every prediction, and the only loss is the cross-entropy of the
    scores.

    On 20 models and 1024 queries of MMLU-Pro, the log loss on other queries was 0.5865
    with the defaults and 0.5857 with ``learning_rate_init=1e-3``, which took less time
    (means of three draws, which differ by up to 0.003).

    Examples
    --------
    >>> from skl_locus import IRTRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = IRTRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    >>> router.embeddings_.shape
    (6, 16)
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_experts": [Interval(Integral, 1, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        **TRAINING_CONSTRAINTS,
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        *,
        n_components: int = 128,
        n_experts: int = 8,
        hidden_size: int = 64,
        query_noise: float = 0.0,
        max_iter: int = 5000,
        batch_size: int = 2048,
        learning_rate_init: float = 1e-4,
        alpha: float = 0.0,
        early_stopping: bool = True,
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: int = 0,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        super().__init__(
            n_components=n_components,
            query_noise=query_noise,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            alpha=alpha,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            random_state=random_state,
            device=device,
            precision=precision,
            verbose=verbose,
            encoder=encoder,
            model_col=model_col,
            query_col=query_col,
            query_id_col=query_id_col,
            encoding_cols=encoding_cols,
            duplicates=duplicates,
        )
        self.n_experts = n_experts
        self.hidden_size = hidden_size

    def _predictor_type(self) -> type[ItemResponsePredictor]:
        return ItemResponsePredictor

    def _shape(self, n_features: int) -> ItemResponseShape:
        return ItemResponseShape(
            n_features, self.n_components, self.n_experts, self.hidden_size
        )
