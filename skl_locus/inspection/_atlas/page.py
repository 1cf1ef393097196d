"""The page of the atlas: one file with its data, its code and plotly in it."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from skl_locus.inspection._atlas.table import neighbor_positions

WEBGL_FROM = 3_000
"""Models from which on points are drawn by WebGL; below, SVG is sharper."""

MAX_FAMILIES = 20
"""Families with a colour and a shape of their own, the largest ones."""

OTHERS = "other families"
"""Name of what the others are shown as."""

UNKNOWN = "unknown"
"""Name of the models without a family."""

MAX_TASKS = 40
"""Tasks on the page, those with scores of the most models."""

SCORE_UNITS = 1_000
"""Scores are stored in thousandths, as integers, which take the least space."""

DIGITS = 4
"""Significant digits of places and distances."""

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
"""Where a part of the page is put in."""


def page_of(atlas: Any, title: str) -> str:
    """Return the page as HTML."""
    parts = {
        "title": html.escape(title),
        "style": _resource("page.css"),
        "library": _library(),
        "data": _as_json(payload(atlas)),
        "code": _resource("page.js"),
    }
    # In one pass: what is put in may itself look like a placeholder.
    return PLACEHOLDER.sub(lambda match: parts[match[1]], _resource("page.html"))


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _library() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_html needs plotly: pip install 'skl-locus[atlas]'.", name="plotly"
        ) from error
    return get_plotlyjs()


def _as_json(data: dict[str, Any]) -> str:
    """Write data so that no text in it can end its element in the page."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def payload(atlas: Any) -> dict[str, Any]:
    """Return what the page shows, rounded, in columns."""
    models, tasks = atlas.models, _shown_tasks(atlas.tasks)
    families, codes = _family_codes(models["family"])
    return {
        "webgl": len(models) >= WEBGL_FROM,
        "axes": list(atlas.axes),
        "unit": atlas.unit,
        "names": [str(label) for label in models.index],
        "x": _rounded(models["x"]),
        "y": _rounded(models["y"]),
        "families": families,
        "family": codes,
        "mean": _thousandths(models["mean_score"]),
        "counts": models["n_evaluations"].tolist(),
        "costs": _significant(models["cost"]) if "cost" in models else None,
        "tasks": [str(task) for task in tasks.columns],
        "n_tasks": atlas.tasks.shape[1],
        # One column after another, for the colours of the map.
        "scores": [_thousandths(tasks.iloc[:, i]) for i in range(tasks.shape[1])],
        "k": atlas.neighbors.shape[1],
        "neighbors": neighbor_positions(atlas).ravel().tolist(),
        "distances": _significant(atlas.distances.to_numpy().ravel()),
        "portfolio": _portfolio(atlas.portfolio),
        "curve": _curve(atlas.cost_curve),
    }


def _shown_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    if tasks.shape[1] <= MAX_TASKS:
        return tasks
    known = tasks.notna().sum().to_numpy()
    most = np.sort(np.argsort(-known, kind="stable")[:MAX_TASKS])
    return tasks.iloc[:, most]


def _family_codes(families: pd.Series) -> tuple[list[str], list[int]]:
    """Return the names of the families, largest first, and the code of each model."""
    names = families.fillna(UNKNOWN).astype(str)
    # Sorted first, so that families of equal size stand in the order of their names.
    sizes = names.value_counts().sort_index()
    shown = sizes.drop(UNKNOWN, errors="ignore").sort_values(
        ascending=False, kind="stable"
    )
    own = shown.index[:MAX_FAMILIES].tolist()
    rest = [OTHERS] if len(shown) > MAX_FAMILIES else []
    unknown = [UNKNOWN] if UNKNOWN in sizes.index else []
    listed = [*own, *rest, *unknown]
    codes = {name: code for code, name in enumerate(listed)}
    return listed, [codes[name if name in codes else OTHERS] for name in names]


def _rounded(values: pd.Series) -> list[float]:
    """Round to a share of the whole range, as a screen has it."""
    span = float(np.ptp(values)) or 1.0
    decimals = DIGITS - int(np.floor(np.log10(span)))
    return (np.round(values.to_numpy(np.float64), decimals) + 0.0).tolist()


def _significant(values: Any) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values).tolist()]


def _thousandths(scores: pd.Series) -> list[int | None]:
    known = scores.notna()
    units = np.rint(SCORE_UNITS * scores.where(known, 0.0)).astype(int)
    return [unit if k else None for unit, k in zip(units, known, strict=True)]


def _portfolio(path: pd.DataFrame) -> dict[str, Any]:
    return {
        "pool": path.attrs["n_models"],
        "models": [str(label) for label in path["model"]],
        "coverage": _significant(path["coverage"]),
        "cost": _significant(path["total_cost"]) if "total_cost" in path else None,
    }


def _curve(curve: pd.DataFrame | None) -> dict[str, Any] | None:
    if curve is None:
        return None
    return {name: _significant(curve[name]) for name in ("cost", "quality")}
