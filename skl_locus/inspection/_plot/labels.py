"""Names beside points, placed so that they do not overlap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

GAP = 4.0
"""Distance of a name from its point, in typographic points."""

PLACES = [
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
    (0.7, 0.7, "left", "bottom"),
    (0.7, -0.7, "left", "top"),
    (-0.7, 0.7, "right", "bottom"),
    (-0.7, -0.7, "right", "top"),
]
"""Places around a point in the order in which they are tried: direction, and which
edges of the text are there."""

WIDENED = 0.03
"""Share of its width by which a name may be wider at another resolution."""

DISTANCES = (1.0, 2.5, 4.5)
"""Multiples of `GAP` that are tried."""


def place_labels(
    ax: Any, points: np.ndarray, names: Iterable[str], *, fontsize: float, all_: bool
) -> list[Any]:
    """Write names beside points, each in the first free place.

    Parameters
    ----------
    ax : matplotlib Axes
        Where the points are drawn.
    points : ndarray of shape (n_points, 2)
        In data coordinates.
    names : iterable of str
        One for each point.
    fontsize : float
        Size of the names.
    all_ : bool
        Whether names without a free place are written too, over what is there.

    Returns
    -------
    list of matplotlib Annotation
        The names that were written.
    """
    # Sizes in pixels are known once the layout is, which needs a second pass where a
    # legend stands beside the axes.
    ax.figure.draw_without_rendering()
    ax.figure.draw_without_rendering()
    renderer = _renderer_of(ax.figure)
    dots = ax.transData.transform(points)
    radius = GAP / 2 * ax.figure.dpi / 72
    taken = np.column_stack([dots - radius, dots + radius])
    limits = ax.get_window_extent(renderer)
    written = []
    for point, name in zip(points, names, strict=True):
        text = ax.annotate(
            str(name), point, (GAP, 0), textcoords="offset points", fontsize=fontsize
        )
        # The layout is as it is measured here, or names would make room for themselves.
        text.set_in_layout(False)
        box = _first_free(text, taken, limits, renderer)
        if box is None and not all_:
            text.remove()
            continue
        if box is None:
            _move(text, PLACES[0], DISTANCES[0])
            box = text.get_window_extent(renderer).extents
        taken = np.vstack([taken, box])
        written.append(text)
    return written


def _first_free(
    text: Any, taken: np.ndarray, limits: Any, renderer: Any
) -> np.ndarray | None:
    """Move a text to the first place where nothing is; return its box."""
    for distance in DISTANCES:
        for place in PLACES:
            _move(text, place, distance)
            x0, y0, x1, y1 = box = text.get_window_extent(renderer).extents
            margin = WIDENED * (x1 - x0)
            x0, x1 = x0 - margin, x1 + margin
            inside = (
                limits.x0 <= x0 and x1 <= limits.x1 and limits.y0 <= y0
            ) and y1 <= limits.y1
            overlaps = (taken[:, 0] < x1) & (taken[:, 2] > x0)
            overlaps &= (taken[:, 1] < y1) & (taken[:, 3] > y0)
            if inside and not overlaps.any():
                return box
    return None


def _move(text: Any, place: tuple[float, float, str, str], distance: float) -> None:
    x, y, horizontal, vertical = place
    text.set_position((GAP * distance * x, GAP * distance * y))
    text.set_horizontalalignment(horizontal)
    text.set_verticalalignment(vertical)


def _renderer_of(figure: Any) -> Any:
    """Return what measures texts of a figure."""
    if not hasattr(figure.canvas, "get_renderer"):
        # A figure made without pyplot, or for a vector format, has a canvas that does
        # not draw; this one becomes its canvas.
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        return FigureCanvasAgg(figure).get_renderer()
    return figure.canvas.get_renderer()
