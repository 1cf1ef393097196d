"""Axes, colours and the optional matplotlib, as all displays need them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skl_locus._utils.validation import check_by_label

CATEGORIES = ("tab10", "tab20")
MANY_CATEGORIES = "turbo"
NUMBERS = "viridis"

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which people with any form of colour blindness can tell
apart; their yellow is left out, since it is too pale on white."""

MARKERS = "os^DvPX"
"""Shapes of points, in turn for each family or method: for those who cannot tell their
colours apart."""


def import_pyplot() -> Any:
    """Import matplotlib, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plotting needs matplotlib; install it with pip install 'skl-locus[plot]'."
        ) from error
    return plt


def axes_or_new(ax: Any, size: tuple[float, float] = (6.4, 4.8)) -> Any:
    """Return the given axes, or those of a new figure."""
    plt = import_pyplot()
    if ax is not None:
        return ax
    return plt.subplots(figsize=size, layout="constrained")[1]


def values_by_model(values: Any, models: pd.Index, name: str) -> pd.Series:
    """Return one value per model from a mapping or Series by label."""
    check_by_label(values, models, name)
    return pd.Series(values).loc[models]


def category_colors(values: pd.Series) -> dict[Any, Any]:
    """Give each distinct value a colour of its own, in sorted order."""
    plt = import_pyplot()
    distinct = sorted(values.unique(), key=str)
    if len(distinct) <= len(PALETTE):
        return dict(zip(distinct, PALETTE, strict=False))
    colors = plt.get_cmap(MANY_CATEGORIES, len(distinct))
    for name in reversed(CATEGORIES):
        if len(distinct) <= plt.get_cmap(name).N:
            colors = plt.get_cmap(name)
    return {value: colors(i) for i, value in enumerate(distinct)}


def label_axes(ax: Any, title: str, x: str, y: str) -> None:
    """Write the title and what is on both axes."""
    ax.set(title=title, xlabel=x, ylabel=y)


def upper_pairs(table: pd.DataFrame) -> np.ndarray:
    """Return the values of all pairs of models, each once."""
    return table.to_numpy()[np.triu_indices(len(table), 1)]
