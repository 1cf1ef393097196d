"""Displays of a pool: a map of its embeddings, distances with a dendrogram."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram, leaves_list

from skl_locus.inspection._geometry import as_embeddings, model_distances, model_linkage
from skl_locus.inspection._plot.axes import (
    MARKERS,
    NUMBERS,
    PALETTE,
    category_colors,
    label_axes,
    values_by_model,
)
from skl_locus.inspection._plot.base import DisplayBase
from skl_locus.inspection._plot.labels import place_labels
from skl_locus.inspection._projection import project

MAX_LABELS = 60
"""More models than this are drawn without their names, for which there is no room."""

UNKNOWN = "unknown"
"""Models without a family or a number, as the legend calls them."""

LEGEND_ROWS = 18
"""Families in a column of the legend."""

TREE_HEIGHT = 0.2
"""Height of the dendrogram, as a share of the heat map's."""


class EmbeddingMapDisplay(DisplayBase):
    """Map of the embeddings of models in two dimensions (paper Figure 1 and 5).

    Use `from_estimator` or `from_predictions` to create it.

    Parameters
    ----------
    coordinates : DataFrame of shape (n_models, 2)
        Places of the models on the map, indexed by model.
    explained : ndarray of shape (2,) or None
        Share of the variance that each principal component has; None for coordinates
        of another kind.
    color : Series of shape (n_models,) or None
        A family, a task strength or a cost per model. Models without one (NaN or None)
        are drawn hollow.

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
        explained: np.ndarray | None = None,
        color: pd.Series | None = None,
    ) -> None:
        self.coordinates = coordinates
        self.explained = explained
        self.color = color

    @staticmethod
    def project(
        embeddings: Any,
        method: str | None = None,
        *,
        random_state: int | np.random.RandomState | None = 0,
    ) -> tuple[pd.DataFrame, np.ndarray | None]:
        """Project embeddings on two dimensions.

        Parameters
        ----------
        embeddings : dataframe or array of shape (n_models, n_components)
            At least two models and components.
        method : {"pca", "mds", "tsne", "umap"}, default=None
            Principal components; metric multidimensional scaling, which keeps
            distances as well as two dimensions can; t-SNE or UMAP (which needs
            umap-learn), which keep neighbourhoods and no distances. None means "pca",
            but for a table of two columns, which are coordinates already.
        random_state : int, RandomState instance or None, default=0
            Seed of all methods but "pca".

        Returns
        -------
        coordinates : DataFrame of shape (n_models, 2)
            Indexed by model; the columns are the names of the axes.
        explained : ndarray of shape (2,) or None
            Shares of the variance, for "pca".
        """
        return project(as_embeddings(embeddings), method, random_state)

    @classmethod
    def from_estimator(
        cls,
        router: Any,
        *,
        color: Any = None,
        method: str | None = None,
        random_state: int | np.random.RandomState | None = 0,
        ax: Any = None,
    ) -> Self:
        """Draw the models of a fitted router.

        Parameters
        ----------
        router : LocusRouter
            Fitted.
        color : mapping or Series by model label, default=None
            Families (anything that is no number) or numbers. The name of a Series
            names the colours, so put a unit there: "cost ($ per query)".
        method : {"pca", "mds", "tsne", "umap"}, default=None
            As for `project`.
        random_state : int, RandomState instance or None, default=0
            As for `project`.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        EmbeddingMapDisplay
            The display, drawn.
        """
        return cls.from_predictions(
            router, color=color, method=method, random_state=random_state, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        embeddings: Any,
        *,
        color: Any = None,
        method: str | None = None,
        random_state: int | np.random.RandomState | None = 0,
        ax: Any = None,
    ) -> Self:
        """Draw given embeddings, or coordinates of any kind.

        Parameters
        ----------
        embeddings : dataframe or array of shape (n_models, n_components)
            One row per model. Two columns are drawn as they are, and the columns of a
            dataframe name the axes: "t-SNE 1".
        color : mapping or Series by model label, default=None
            Families (anything that is no number) or numbers. The name of a Series
            names the colours, so put a unit there: "cost ($ per query)".
        method : {"pca", "mds", "tsne", "umap"}, default=None
            As for `project`.
        random_state : int, RandomState instance or None, default=0
            As for `project`.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        EmbeddingMapDisplay
            The display, drawn.
        """
        coordinates, explained = cls.project(
            embeddings, method, random_state=random_state
        )
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
            Write the name of each model; None means those for which there is room,
            where there are few models.

        Returns
        -------
        EmbeddingMapDisplay
            Itself.
        """
        return self._draw_on(ax, names=names)

    def _draw(self, ax: Any, names: bool | None) -> None:
        self._scatter(ax)
        ax.margins(0.08)
        label_axes(ax, "Model embeddings", *self._axis_names())
        few = len(self.coordinates) <= MAX_LABELS
        if names or (names is None and few):
            place_labels(
                ax,
                self.coordinates.to_numpy(np.float64),
                map(str, self.coordinates.index),
                fontsize=7,
                all_=bool(names),
            )

    def _axis_names(self) -> list[str]:
        if self.explained is None:
            return [str(name) for name in self.coordinates.columns]
        return [
            f"Principal component {i} ({share:.0%} of variance)"
            for i, share in enumerate(self.explained, start=1)
        ]

    def _scatter(self, ax: Any) -> None:
        points = self.coordinates.to_numpy()
        if self.color is None:
            ax.scatter(*points.T, color=PALETTE[0])
            return
        known = self.color.notna().to_numpy()
        if pd.api.types.is_numeric_dtype(self.color):
            values = self.color.to_numpy()[known]
            drawn = ax.scatter(*points[known].T, c=values, cmap=NUMBERS)
            ax.figure.colorbar(drawn, ax=ax, label=_name_of(self.color))
        else:
            self._scatter_families(ax, points)
        if not known.all():
            ax.scatter(
                *points[~known].T, facecolors="none", edgecolors="grey", label=UNKNOWN
            )
        self._add_legend(ax)

    def _add_legend(self, ax: Any) -> None:
        names = ax.get_legend_handles_labels()[1]
        if names == [UNKNOWN]:
            ax.legend(fontsize="small", loc="best")  # beside it is the colour bar
        elif names:
            ax.legend(
                title=_name_of(self.color),
                fontsize="small",
                frameon=False,
                loc="upper left",
                bbox_to_anchor=(1, 1),
                ncols=1 + len(names) // LEGEND_ROWS,
            )

    def _scatter_families(self, ax: Any, points: np.ndarray) -> None:
        assert self.color is not None
        families = sorted(self.color.dropna().unique(), key=str)
        for i, family in enumerate(families):
            turn, place = divmod(i, len(PALETTE))
            # Each family has a shape of its own as well, for people who see colours
            # otherwise and for black and white; pairs repeat after 49 families.
            marker = MARKERS[(place + turn) % len(MARKERS)]
            chosen = (self.color == family).to_numpy()
            ax.scatter(
                *points[chosen].T,
                color=PALETTE[place],
                marker=marker,
                edgecolor="white",
                linewidth=0.5,
                label=str(family),
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
        Family of each model, which colours its name and stands beside it.

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
        names = models.astype(str)
        ax.set_xticks(places, names, rotation=90, fontsize=size)
        if self.color is not None:
            # A colour alone names no family, and not everybody can tell colours apart.
            names = [f"{model} ({self.color[model]})" for model in models]
        ax.set_yticks(places, names, fontsize=size)
        if self.color is None:
            return
        colors = category_colors(self.color)
        for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
            for text, model in zip(labels, models, strict=True):
                text.set_color(colors[self.color[model]])


def _name_of(values: pd.Series | None) -> str:
    return (
        "" if values is None or values.name is None else str(values.name).capitalize()
    )
