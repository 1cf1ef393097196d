"""JE-IRT: item response theory with queries and models in one space."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._networks.training_parameters import TRAINING_CONSTRAINTS
from skl_locus._networks.vector_state import ProjectionPredictor, ProjectionShape
from skl_locus.baselines._item_vectors import ItemVectorRouter


class JEIRTRouter(ItemVectorRouter):
    """Predict by the projection of a model's vector on the vector of the query.

    JE-IRT (arXiv 2509.22888) embeds models and queries in one space: the direction of
    a query's vector is its topic, and its norm is its difficulty. A network with one
    hidden layer computes it from the encoding; the vectors of the models are trained
    with it.

    The vector of a new model is the solution of a convex problem with all else frozen.

    Parameters
    ----------
    n_components : int, default=128
        Length of an embedding.
    hidden_size : int or None, default=None
        Width of the hidden layer; None takes twice the length of an encoding.
    dropout : float, default=0.5
        Share of hidden units left out in each step of the training.
    query_noise : float, default=0.0
        Standard deviation of the Gaussian noise added to the encodings in `fit`.
    max_iter : int, default=5000
        Maximum number of optimiser steps.
    batch_size : int, default=512
        Number of evaluations per step.
    learning_rate_init : float, default=3e-5
        Learning rate of Adam, constant.
    alpha : float, default=0.01
        Weight decay, decoupled from the gradient as in AdamW.
    early_stopping : bool, default=True
        Whether to stop when the log loss on held-out queries no longer falls, and
        keep the best weights.
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
    IRTRouter : Discrimination and difficulty from a mixture of experts.
    MIRTRouter : Positive discriminations, linear in the query.

    Notes
    -----
    With b(x) the vector of a query and theta that of a model, ``logit P(correct) =
    b . (theta - b) / |b| = (b / |b|) . theta - |b|``, where ``|b|^2`` is taken 1e-6
    larger, so that it is never zero. `difficulty` returns ``|b|``.

    Hidden width, dropout, batches, weight decay, learning rate and the standard normal
    start of the models' vectors are those of the paper for this length, one of several
    from 12 to 1024. There the rate falls by a quarter or more after each of up to 100
    epochs of two million evaluations. Here it is constant, and early stopping takes the
    place of the epochs.

    The vector of a new model minimises the log loss plus ``|theta - c|^2 / (2 v)``, a
    logistic regression without intercept with the offset ``-|b|``. Here c is the mean
    and v the variance of the vectors of `fit`; the paper has no such prior.

    Examples
    --------
    >>> from skl_locus import JEIRTRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=60, random_state=0)
    >>> log = pool.evaluations
    >>> router = JEIRTRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> router.route(pool.encodings[:3]).shape
    (3,)
    >>> router.embeddings_.shape
    (6, 16)
    >>> router.difficulty(pool.encodings[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        **TRAINING_CONSTRAINTS,
        **COLUMN_CONSTRAINTS,
    }

    def __init__(
        self,
        *,
        n_components: int = 128,
        hidden_size: int | None = None,
        dropout: float = 0.5,
        query_noise: float = 0.0,
        max_iter: int = 5000,
        batch_size: int = 512,
        learning_rate_init: float = 3e-5,
        alpha: float = 0.01,
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
        self.hidden_size = hidden_size
        self.dropout = dropout

    def difficulty(self, queries: Any) -> np.ndarray:
        """Return the difficulty of queries, the norm of their vectors.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries.

        Returns
        -------
        ndarray of shape (n_queries,)
            Difficulties, on the scale of logits.
        """
        predictor = self._fitted_pool().predictor
        assert isinstance(predictor, ProjectionPredictor)
        batch = self._read_queries(queries)
        return predictor.items(batch.encodings)[1][batch.codes]

    def _predictor_type(self) -> type[ProjectionPredictor]:
        return ProjectionPredictor

    def _shape(self, n_features: int) -> ProjectionShape:
        hidden_size = self.hidden_size or 2 * n_features
        return ProjectionShape(
            n_features, self.n_components, hidden_size, float(self.dropout)
        )
