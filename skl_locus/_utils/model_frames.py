"""Transformers with one row per model in their output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags


def model_index(labels: Sequence, name: str) -> pd.Index:
    """Return labels of models as one level of an index, also where they are tuples."""
    return pd.Index(labels, name=name, tupleize_cols=False)


class ModelFrameMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Mixin for embeddings as frames indexed by model."""

    model_col: str

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the container of the embeddings.

        Parameters
        ----------
        transform : {"default", "pandas"} or None
            "default" returns a DataFrame for a dataframe and an ndarray for an array;
            None keeps the present setting.

        Returns
        -------
        self
            The transformer.

        Raises
        ------
        ValueError
            For "polars": its frames have no index for the names of the models.
        """
        self._check_not_polars(transform)
        return super().set_output(transform=transform)

    def __sklearn_tags__(self) -> Tags:
        """Declare that the dtype of the input is not preserved."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_container(self) -> None:
        own = getattr(self, "_sklearn_output_config", {})
        self._check_not_polars(own.get("transform", get_config()["transform_output"]))

    def _model_frame(self, embeddings: np.ndarray, models: np.ndarray) -> pd.DataFrame:
        index: Any = model_index(models.tolist(), self.model_col)
        return pd.DataFrame(embeddings, index, self.get_feature_names_out())

    def _check_not_polars(self, container: str | None) -> None:
        if container == "polars":
            raise ValueError(
                f"{type(self).__name__} cannot output polars: the models' names are "
                "the index of its result, and polars has none. Use 'default' or "
                "'pandas'."
            )
