"""Displays of the agreement of near models."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from skl_locus.inspection._agreement import (
    aligned,
    correlations,
    neighbor_agreement,
)
from skl_locus.inspection._geometry import disagreement, model_distances
from skl_locus.inspection._plot.axes import label_axes, upper_pairs
from skl_locus.inspection._plot.base import DisplayBase


def _both_tables(
    router: Any, X: Any, y: Any, metric: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = {
        name: getattr(router, name)
        for name in ("model_col", "query_col", "query_id_col")
    }
    distances = model_distances(router, metric=metric)
    disagreements = disagreement(X, y, **columns)
    order = distances.index
    return distances, disagreements.reindex(index=order, columns=order)


class DistanceAgreementDisplay(DisplayBase):
    """Disagreement of each pair of models against their distance (paper Figure 6).

    Use `from_estimator` or `from_predictions` to create it.

    Parameters
    ----------
    distances, disagreements : DataFrame of shape (n_models, n_models)
        From `model_distances` and `disagreement`.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> from skl_locus.inspection import DistanceAgreementDisplay, model_distances
    >>> distances = model_distances([[0.0], [1.0], [3.0]])
    >>> display = DistanceAgreementDisplay(distances, distances / 10)
    >>> display.distances.shape
    (3, 3)
    """

    def __init__(self, distances: pd.DataFrame, disagreements: pd.DataFrame) -> None:
        self.distances = distances
        self.disagreements = disagreements

    @classmethod
    def from_estimator(
        cls, router: Any, X: Any, y: Any, *, metric: str = "euclidean", ax: Any = None
    ) -> Self:
        """Draw the models of a fitted router, with their answers to some queries.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        X : dataframe of n_rows rows
            Evaluations on queries that the router has not seen.
        y : array-like of shape (n_rows,)
            Scores in [0, 1].
        metric : str, default="euclidean"
            A metric of `sklearn.metrics.pairwise_distances`.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        DistanceAgreementDisplay
            The display, drawn.
        """
        return cls.from_predictions(*_both_tables(router, X, y, metric), ax=ax)

    @classmethod
    def from_predictions(
        cls, distances: pd.DataFrame, disagreements: pd.DataFrame, *, ax: Any = None
    ) -> Self:
        """Draw given distances and disagreements.

        Parameters
        ----------
        distances, disagreements : DataFrame of shape (n_models, n_models)
            From `model_distances` and `disagreement`.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        DistanceAgreementDisplay
            The display, drawn.
        """
        return cls(distances, disagreements).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw one point per pair of models."""
        first, second = (
            upper_pairs(pd.DataFrame(table))
            for table in aligned(self.distances, self.disagreements)
        )
        known = np.isfinite(first) & np.isfinite(second)
        first, second = first[known], second[known]
        ax.scatter(first, second, s=12, alpha=0.5)
        pearson, spearman, _ = correlations(first, second)
        title = f"Pearson {pearson:.2f}, Spearman {spearman:.2f}, {len(first)} pairs"
        label_axes(
            ax, title, "Distance of embeddings", "Disagreement (share of queries)"
        )


class NeighborAgreementDisplay(DisplayBase):
    """Agreement with the k-th neighbour beside that of all pairs (paper Figure 8).

    Use `from_estimator` or `from_predictions` to create it.

    Parameters
    ----------
    agreement : DataFrame of shape (k, 3)
        From `neighbor_agreement`.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> from skl_locus.inspection import (
    ...     NeighborAgreementDisplay,
    ...     model_distances,
    ...     neighbor_agreement,
    ... )
    >>> distances = model_distances([[0.0], [1.0], [3.0]])
    >>> table = neighbor_agreement(distances, distances / 10)
    >>> NeighborAgreementDisplay(table).agreement.shape
    (2, 3)
    """

    def __init__(self, agreement: pd.DataFrame) -> None:
        self.agreement = agreement

    @classmethod
    def from_estimator(
        cls,
        router: Any,
        X: Any,
        y: Any,
        *,
        k: int = 10,
        metric: str = "euclidean",
        ax: Any = None,
    ) -> Self:
        """Draw the models of a fitted router, with their answers to some queries.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        X : dataframe of n_rows rows
            Evaluations on queries that the router has not seen.
        y : array-like of shape (n_rows,)
            Scores in [0, 1].
        k : int, default=10
            Number of neighbours.
        metric : str, default="euclidean"
            A metric of `sklearn.metrics.pairwise_distances`.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        NeighborAgreementDisplay
            The display, drawn.
        """
        return cls.from_predictions(*_both_tables(router, X, y, metric), k=k, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        distances: pd.DataFrame,
        disagreements: pd.DataFrame,
        *,
        k: int = 10,
        ax: Any = None,
    ) -> Self:
        """Draw given distances and disagreements.

        Parameters
        ----------
        distances, disagreements : DataFrame of shape (n_models, n_models)
            From `model_distances` and `disagreement`.
        k : int, default=10
            Number of neighbours.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        NeighborAgreementDisplay
            The display, drawn.
        """
        return cls(neighbor_agreement(distances, disagreements, k=k)).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw the curve with its standard errors."""
        table = self.agreement
        ax.errorbar(
            table.index,
            table["agreement"],
            yerr=table["standard_error"],
            marker="o",
            capsize=3,
            label="k-th neighbour (± standard error)",
        )
        ax.axhline(table["random"].iloc[0], ls="--", color="grey", label="random pair")
        ax.set_xticks(table.index, table.index.astype(str))
        ax.legend()
        label_axes(
            ax, "Agreement of neighbours", "Neighbour k", "Agreement (share of queries)"
        )
