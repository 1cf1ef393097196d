"""The documentation of parameters that several estimators share."""

from __future__ import annotations

from collections.abc import Callable

SEED_AND_DEVICE = """random_state : int, RandomState or None, default=None
        Seed of all randomness; the global generators are left alone.
    device : str, default="auto"
        "auto" (CUDA, else MPS, else CPU) or a torch device.
    """

PRECISION = """precision : {"auto", "float32", "float64", "mixed"}, default="auto"
        Arithmetic; "auto" trains in mixed precision on CUDA, else in float32.
    """

LOCUS_PRECISION = """\
precision : {"auto", "float32", "float64", "mixed", "bfloat16"}, default="auto"
        Arithmetic; "auto" trains in mixed precision on CUDA, else in float32.
        "bfloat16" trains like "auto" and rounds the products in embedding models:
        faster on processors that multiply such numbers, and probabilities differ by
        about 0.001.
    """

VERBOSE = """verbose : int, default=0
        1 shows progress.
    """

NETWORK_AND_TRAINING = """n_components : int, default=128
        Length of an embedding, the width d of the network.
    n_latents : int, default=64
        Latents r of a bottleneck block (eq. 2).
    n_layers : int, default=2
        Blocks L.
    n_heads : int, default=4
        Attention heads; where it does not divide ``n_components``, the largest
        number below that does is used.
    dim_feedforward : int, default=None
        Hidden width of the feed-forward layers; None is twice ``n_components``.
    attention : {"latent", "full"}, default="latent"
        Latent bottleneck, linear in the number of evaluations, or plain
        self-attention, quadratic.
    predictor_hidden : int, default=64
        Hidden width of the correctness predictor.
    n_inputs : int, default=64
        Principal components of the encodings that the network sees, half whitened;
        None keeps all.
    bilinear : bool, default=True
        Whether the predictor adds z.u / sqrt(d) to its logit.
    local_evidence : bool, default=True
        Whether the router weighs the network's prediction against the model's own
        scores on similar queries. ``local_evidence=False, bilinear=False`` is the
        paper's method.
    dropout : float, default=0.1
        Share of the residual branches dropped in training.
    query_noise : float, default=1.0
        Standard deviation of the Gaussian noise added to the network's inputs in
        training; the inputs have unit variance.
    max_iter : int, default=500
        Optimiser steps, at most.
    batch_size : int, default=8
        Models per step.
    min_context, max_context : int, default=32, 256
        Range of the number of evaluations per model shown to the encoder in
        training. Embeddings are made from all evaluations.
    n_targets : int, default=256
        Queries per model in the loss of a step.
    learning_rate_init : float, default=5e-4
        Highest learning rate of AdamW.
    alpha : float, default=0.05
        Weight decay.
    ema_decay : float, default=0.98
        Decay of the moving average of the weights, which is what is kept.
    early_stopping : bool, default=True
        Whether to stop when the log loss on held-out queries no longer falls.
    validation_fraction : float, default=0.15
        Share of the queries held out of the network's training, for early stopping
        and for weighing the local evidence. With fewer than 10 queries none is.
    n_iter_no_change : int, default=6
        Checks (24 in ``max_iter`` steps) without improvement before stopping.
    tol : float, default=1e-4
        Improvement of the log loss that counts.
    """

WARM_START = """warm_start : bool, default=False
        Whether to go on from the network of the last fit.
    """

VECTOR_TRAINING = """max_iter : int, default=5000
        Optimiser steps, at most.
    batch_size : int, default=2048
        Evaluations per step.
    learning_rate_init : float, default=1e-4
        Learning rate of Adam, constant.
    {alpha}early_stopping : bool, default=True
        Whether to stop when the log loss on held-out queries no longer falls, and
        keep the best weights; the same for a new model and its own queries.
    validation_fraction : float, default=0.15
        Share of the queries held out. With fewer than 10 queries none is.
    n_iter_no_change : int, default=10
        Checks (100 in ``max_iter`` steps) without improvement before stopping.
    tol : float, default=1e-4
        Improvement of the log loss that counts.
    """

VECTOR_ALPHA = """alpha : float, default={default}
        Weight decay, decoupled from the gradient as in AdamW.
    """

VECTOR_ATTRIBUTES = """models_ : ndarray of shape (n_models,), object
        Labels: sorted at fit, additions appended.
    embeddings_ : ndarray of shape (n_models, n_components)
        Trained vectors, one row per entry of ``models_``.
    classes_ : ndarray of shape (2,)
        [0, 1]: wrong, correct.
    query_encoder_ : QueryEncoder or None
        The fitted encoder of texts.
    """

TABLE = """encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        How text becomes vectors; None takes queries that are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Columns of the model, the query and (optional) its identity.
    {score_col}encoding_cols : list of str, default=None
        Columns of the query encoding where there is no query column; None is all
        numeric columns except model, query id, score, task, cost, tokens and
        latency.
    duplicates : {{"mean", "max", "last", "first", "raise"}}, default="mean"
        How repeated rows of a (model, query) pair are combined."""

TRAINING_ATTRIBUTES = """n_features_in_ : int
        Length of a query encoding.
    n_iter_ : int
        Steps done.
    best_iter_ : int
        Step whose weights were kept.
    loss_curve_ : list of float
        Training loss of each step.
    validation_scores_ : list of float
        Negative log loss on the held-out queries at each check.
    device_ : str
        Where the fit ran.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the encoding columns, where queries are given as columns."""

TRAINED_SCORE_COL = """score_col : str, default="score"
        Column of the scores{score_note}.
    """


def documented(score_note: str) -> Callable[[type], type]:
    """Fill the parameters that the LOCUS estimators share into a docstring.

    Parameters
    ----------
    score_note : str
        What the class does with the score column.

    Returns
    -------
    callable
        Class decorator.
    """
    score_col = TRAINED_SCORE_COL.format(score_note=score_note)
    table = TABLE.format(score_col=score_col)
    running = SEED_AND_DEVICE + LOCUS_PRECISION + VERBOSE
    parameters = NETWORK_AND_TRAINING + running + WARM_START + table
    return _filled(parameters, TRAINING_ATTRIBUTES)


def documented_vectors(alpha: str) -> Callable[[type], type]:
    """Fill what the routers with one free vector per model share into a docstring.

    Parameters
    ----------
    alpha : str
        Default of the weight decay.

    Returns
    -------
    callable
        Class decorator.
    """
    decay = VECTOR_ALPHA.format(default=alpha)
    training = VECTOR_TRAINING.format(alpha=decay)
    running = SEED_AND_DEVICE + PRECISION + VERBOSE
    parameters = training + running + TABLE.format(score_col="")
    return _filled(parameters, VECTOR_ATTRIBUTES + TRAINING_ATTRIBUTES)


def _filled(parameters: str, attributes: str) -> Callable[[type], type]:
    def decorate(cls: type) -> type:
        # Python run with -OO strips docstrings.
        if cls.__doc__:
            cls.__doc__ = cls.__doc__.replace("{parameters}", parameters).replace(
                "{training_attributes}", attributes
            )
        return cls

    return decorate
