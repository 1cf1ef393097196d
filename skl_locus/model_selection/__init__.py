"""Cross-validators that keep the rows of a query, or of a model, together."""

from skl_locus.model_selection._split import (
    ModelShuffleSplit,
    QueryKFold,
    QueryShuffleSplit,
)

__all__ = ["ModelShuffleSplit", "QueryKFold", "QueryShuffleSplit"]
