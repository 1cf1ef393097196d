"""IRT-Net: item response theory with a network for the items."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from skl_locus._data.reader import COLUMN_CONSTRAINTS
from skl_locus._networks.training_parameters import TRAINING_CONSTRAINTS
from skl_locus._networks.vector_state import ItemResponsePredictor, ItemResponseShape
from skl_locus._utils.docstrings import documented_vectors
from skl_locus.baselines._free_vectors import FreeVectorRouter


@documented_vectors("0.0")
class IRTRouter(FreeVectorRouter):
    """Predict by item response theory, with free vectors as the models' abilities.

    IRT-Net (Chen et al., arXiv 2510.00844): logit P(correct) = a . theta - b, where
    theta is the ability of the model, a trained vector, and the query's
    discrimination a and difficulty b come from a mixture of experts, networks with
    one hidden layer that a softmax of the query weighs.

    A new model's ability is trained with everything else frozen (LOCUS paper, eq.
    18), from the mean of the abilities of `fit`, on its evaluations alone and
    without noise.

    Parameters
    ----------
    n_components : int, default=128
        Length of a model's ability.
    n_experts : int, default=8
        Networks of the mixture.
    hidden_size : int, default=64
        Hidden width of each.
    query_noise : float, default=0.0
        Standard deviation of the Gaussian noise added to encodings in `fit`.
    {parameters}

    Attributes
    ----------
    {training_attributes}

    See Also
    --------
    EmbedLLMRouter : Free vectors times a map of the query.
    LocusRouter : Vectors from an encoder; no training for a new model.

    Notes
    -----
    Sizes and optimisation are ours, chosen close to `EmbedLLMRouter`. All experts
    take part in every prediction, and the only loss is the cross-entropy of the
    scores.

    On 20 models and 1024 queries of MMLU-Pro the log loss on other queries was
    0.5865 by default and 0.5857 with ``learning_rate_init=1e-3``, which took less
    time (means of three draws, which differ by up to 0.003).

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
            hidden_size=hidden_size,
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

    def _predictor_type(self) -> type[ItemResponsePredictor]:
        return ItemResponsePredictor

    def _shape(self, n_features: int) -> ItemResponseShape:
        return ItemResponseShape(
            n_features, self.n_components, self.n_experts, self.hidden_size
        )
