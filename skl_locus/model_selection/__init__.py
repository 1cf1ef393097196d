"""Cross-validators that keep the rows of a query, or of a model, together."""

from skl_locus.model_selection._learning_curve import query_learning_curve
from skl_locus.model_selection._split import (
    ModelShuffleSplit,
    QueryKFold,
    QueryShuffleSplit,
)

__all__ = [
    "ModelShuffleSplit",
    "QueryKFold",
    "QueryShuffleSplit",
    "query_learning_curve",
]
