"""Displays of a pool: a map of its embeddings, distances with a dendrogram."""

from __future__ import annotations

from itertools import cycle
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram, leaves_list
from sklearn.decomposition import PCA

from skl_locus.inspection._geometry import as_embeddings, model_distances, model_linkage
from skl_locus.inspection._plot.axes import (
    NUMBERS,
    category_colors,
    label_axes,
    values_by_model,
)
from skl_locus.inspection._plot.base import DisplayBase

MAX_LABELS = 60
"""More models than this are drawn without their names, which would overlap."""

MARKERS = "os^DvPX"
"""Shapes of points, in turn for each family."""

TREE_HEIGHT = 0.2
"""Height of the dendrogram, as a share of the heat map's."""


class EmbeddingMapDisplay(DisplayBase):
    """Map of the embeddings of models in two dimensions (paper Figure 1 and 5).

    Use `from_estimator` or `from_predictions` to create it.

    Parameters
    ----------
    coordinates : DataFrame of shape (n_models, 2)
        Principal components, indexed by model.
    explained : ndarray of shape (2,)
        Share of the variance that each component has.
    color : Series of shape (n_models,) or None
        A family, a task strength or a cost per model.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> from skl_locus.inspection import EmbeddingMapDisplay
    >>> display = EmbeddingMapDisplay(*EmbeddingMapDisplay.project(
    ...     [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    ... ))
    >>> display.coordinates.shape
    (3, 2)
    """

    def __init__(
        self,
        coordinates: pd.DataFrame,
        explained: np.ndarray,
        color: pd.Series | None = None,
    ) -> None:
        self.coordinates = coordinates
        self.explained = explained
        self.color = color

    @staticmethod
    def project(embeddings: Any) -> tuple[pd.DataFrame, np.ndarray]:
        """Project embeddings on their first two principal components.

        Parameters
        ----------
        embeddings : dataframe or array of shape (n_models, n_components)
            At least two models and components.

        Returns
        -------
        coordinates : DataFrame of shape (n_models, 2)
            Indexed by model.
        explained : ndarray of shape (2,)
            Shares of the variance.
        """
        table = as_embeddings(embeddings)
        pca = PCA(2, svd_solver="full")
        coordinates = pca.fit_transform(table.to_numpy(np.float64))
        frame = pd.DataFrame(coordinates, table.index, ["component 1", "component 2"])
        return frame, pca.explained_variance_ratio_

    @classmethod
    def from_estimator(cls, router: Any, *, color: Any = None, ax: Any = None) -> Self:
        """Draw the models of a fitted router.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        color : mapping or Series by model label, default=None
            Families (anything that is no number) or numbers.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        EmbeddingMapDisplay
            The display, drawn.
        """
        return cls.from_predictions(router, color=color, ax=ax)

    @classmethod
    def from_predictions(
        cls, embeddings: Any, *, color: Any = None, ax: Any = None
    ) -> Self:
        """Draw given embeddings.

        Parameters
        ----------
        embeddings : dataframe or array of shape (n_models, n_components)
            One row per model.
        color : mapping or Series by model label, default=None
            Families (anything that is no number) or numbers.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        EmbeddingMapDisplay
            The display, drawn.
        """
        coordinates, explained = cls.project(embeddings)
        if color is not None:
            color = values_by_model(color, coordinates.index, "color")
        return cls(coordinates, explained, color).plot(ax=ax)

    def plot(self, ax: Any = None, *, names: bool | None = None) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        names : bool, default=None
            Write the name of each model; None means where there are few.

        Returns
        -------
        EmbeddingMapDisplay
            Itself.
        """
        return self._draw_on(ax, names=names)

    def _draw(self, ax: Any, names: bool | None) -> None:
        self._scatter(ax)
        if names is None:
            names = len(self.coordinates) <= MAX_LABELS // 2
        if names:
            for label, point in self.coordinates.iterrows():
                ax.annotate(
                    str(label), point, (3, 3), textcoords="offset points", fontsize=7
                )
        first, second = (
            f"Principal component {i} ({share:.0%} of variance)"
            for i, share in enumerate(self.explained, start=1)
        )
        label_axes(ax, "Model embeddings", first, second)

    def _scatter(self, ax: Any) -> None:
        points = self.coordinates.to_numpy()
        if self.color is None:
            ax.scatter(*points.T)
        elif pd.api.types.is_numeric_dtype(self.color):
            drawn = ax.scatter(*points.T, c=self.color.to_numpy(), cmap=NUMBERS)
            ax.figure.colorbar(drawn, ax=ax, label=_name_of(self.color))
        else:
            colors = category_colors(self.color).items()
            # Shapes tell neighbouring colours apart where there are many.
            for (value, shade), marker in zip(colors, cycle(MARKERS), strict=False):
                chosen = (self.color == value).to_numpy()
                ax.scatter(
                    *points[chosen].T, color=shade, marker=marker, label=str(value)
                )
            ax.legend(
                title=_name_of(self.color),
                fontsize="small",
                loc="upper left",
                bbox_to_anchor=(1, 1),
            )


class DistanceHeatmapDisplay(DisplayBase):
    """Distances of models, ordered by a dendrogram (paper Figure 7).

    Use `from_estimator` or `from_predictions` to create it.

    Parameters
    ----------
    distances : DataFrame of shape (n_models, n_models)
        From `model_distances`.
    linkage : ndarray of shape (n_models - 1, 4)
        From `model_linkage`.
    color : Series of shape (n_models,) or None
        Family of each model, which colours its name.

    Attributes
    ----------
    ax_, dendrogram_ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn; set by `plot`.

    Examples
    --------
    >>> from skl_locus.inspection import (
    ...     DistanceHeatmapDisplay,
    ...     model_distances,
    ...     model_linkage,
    ... )
    >>> distances = model_distances([[0.0], [1.0], [3.0]])
    >>> display = DistanceHeatmapDisplay(distances, model_linkage(distances))
    >>> display.distances.shape
    (3, 3)
    """

    _figure_size = (7.5, 7.5)

    def __init__(
        self,
        distances: pd.DataFrame,
        linkage: np.ndarray,
        color: pd.Series | None = None,
    ) -> None:
        self.distances = distances
        self.linkage = linkage
        self.color = color

    @classmethod
    def from_estimator(
        cls,
        router: Any,
        *,
        metric: str = "euclidean",
        method: str = "average",
        color: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw the distances between the models of a fitted router.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        metric : str, default="euclidean"
            A metric of `sklearn.metrics.pairwise_distances`.
        method : str, default="average"
            A method of `scipy.cluster.hierarchy.linkage`.
        color : mapping or Series by model label, default=None
            Families, which colour the names.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        DistanceHeatmapDisplay
            The display, drawn.
        """
        distances = model_distances(router, metric=metric)
        return cls.from_predictions(distances, method=method, color=color, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        distances: pd.DataFrame,
        *,
        method: str = "average",
        color: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw given distances.

        Parameters
        ----------
        distances : DataFrame of shape (n_models, n_models)
            From `model_distances`.
        method : str, default="average"
            A method of `scipy.cluster.hierarchy.linkage`.
        color : mapping or Series by model label, default=None
            Families, which colour the names.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        DistanceHeatmapDisplay
            The display, drawn.
        """
        linkage = model_linkage(distances, method=method)
        if color is not None:
            color = values_by_model(color, distances.index, "color")
        return cls(distances, linkage, color).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        """Draw the heat map with the dendrogram above it."""
        order = leaves_list(self.linkage)
        ordered = self.distances.iloc[order, order]
        image = ax.imshow(ordered, cmap=NUMBERS, aspect="auto")
        ax.figure.colorbar(image, ax=ax, label="Distance of embeddings")
        self._write_names(ax, ordered.index)
        label_axes(ax, "Distances between models", "Model", "Model")
        ax.title.set_y(1 + TREE_HEIGHT)
        tree = ax.inset_axes((0, 1.01, 1, TREE_HEIGHT))
        dendrogram(
            self.linkage,
            ax=tree,
            no_labels=True,
            color_threshold=0,
            above_threshold_color="black",
        )
        tree.set(ylabel="Linkage")
        tree.spines[["top", "right", "bottom"]].set_visible(False)
        # The layout finds room for a tree of the size that it had at the last drawing.
        ax.figure.draw_without_rendering()
        self.dendrogram_ax_ = tree

    def _write_names(self, ax: Any, models: pd.Index) -> None:
        if len(models) > MAX_LABELS:
            ax.set(xticks=[], yticks=[])
            return
        places = np.arange(len(models))
        size = min(8.0, 300 / len(models))
        ax.set_xticks(places, models.astype(str), rotation=90, fontsize=size)
        ax.set_yticks(places, models.astype(str), fontsize=size)
        if self.color is None:
            return
        colors = category_colors(self.color)
        for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
            for text, model in zip(labels, models, strict=True):
                text.set_color(colors[self.color[model]])


def _name_of(values: pd.Series) -> str:
    return "" if values.name is None else str(values.name).capitalize()
