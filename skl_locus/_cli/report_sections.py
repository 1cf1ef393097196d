"""Sections of the page about a router."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._cli.html_page import Section, definitions, image, paragraph, table
from skl_locus.datasets import ReadSummary
from skl_locus.inspection import (
    EmbeddingMapDisplay,
    RoutingHeadroom,
    disagreement,
    model_distances,
    model_linkage,
)
from skl_locus.metrics import expected_calibration_error

BINS = 10
"""Intervals of P(correct) in the table of the calibration."""

MIN_MAPPED = 3
"""Fewest models on a map; two always lie on a line."""


def about(header: Mapping[str, Any], summary: ReadSummary, allow_seen: bool) -> Section:
    """Return what is known of the file and of the log."""
    pool = header["pool"]
    content = definitions(
        {
            "estimator": header["estimator"],
            "router": pool["router"],
            "saved": header["saved"],
            "models": pool["n_models"],
            "fitted on": f"{pool['evaluations']} evaluations of {pool['queries']} "
            "queries",
            "judged on": f"{summary.n_evaluations} evaluations of {summary.n_queries} "
            "queries",
            "versions": ", ".join(f"{k} {v}" for k, v in header["versions"].items()),
        }
    )
    if allow_seen:
        content += paragraph(
            "The router may have been fitted on these queries, so that what is said of "
            "its quality is optimistic.",
            kind="notice",
        )
    return Section("Overview", content)


def models(router: Any, rows: pd.DataFrame, families: pd.Series) -> Section:
    """Return the models with their scores and predictions, the best one first."""
    P = router.predict_proba(rows)[:, 1]
    grouped = rows.assign(P=P).groupby(rows["model"].astype(object), observed=True)
    frame = grouped.agg(
        **{
            "evaluations": ("score", "size"),
            "mean score": ("score", "mean"),
            "mean P(correct)": ("P", "mean"),
        }
    ).reindex(list(router.models_))
    frame["evaluations"] = frame["evaluations"].fillna(0).astype(int)
    frame["family"] = families.reindex(frame.index).map(_family_name)
    frame = frame.sort_values("mean score", ascending=False, kind="stable")
    return Section("Models", table(frame.rename_axis(None)))


def families_of(router: Any, rows: pd.DataFrame) -> pd.Series:
    """Return the number of each model's family, from 1, by label.

    Families are cut from a tree of the models: by the distances of their embeddings, or
    else by how often their scores differ.
    """
    from scipy.cluster.hierarchy import fcluster

    if hasattr(router, "embeddings_"):
        distances = model_distances(router)
    else:
        distances = disagreement(rows, rows["score"], min_common=1)
        # Models without a common query are as far from each other as can be.
        distances = distances.fillna(1.0)
    if len(distances) == 1:
        return pd.Series(1, distances.index)
    count = math.ceil(math.sqrt(len(distances)))
    numbers = fcluster(model_linkage(distances), count, criterion="maxclust")
    return pd.Series(numbers, distances.index)


def families(families: pd.Series, rows: pd.DataFrame) -> Section:
    """Return the members of each family."""
    means = rows.groupby(rows["model"].astype(object), observed=True)["score"].mean()
    frame = pd.DataFrame(
        {
            "members": families.index.map(str),
            "mean score": means.reindex(families.index).to_numpy(),
        }
    ).groupby(families.to_numpy())
    frame = frame.agg({"members": ", ".join, "mean score": "mean"})
    frame.index = frame.index.map(_family_name)
    content = paragraph("Models that answer alike, from a tree of all models.")
    return Section("Families", content + table(frame))


def map_of_models(router: Any, families: pd.Series) -> Section | None:
    """Return a map of the embeddings, if there are any and matplotlib is there."""
    if not hasattr(router, "embeddings_") or len(router.models_) < MIN_MAPPED:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return Section(
            "Map", paragraph("The map needs matplotlib: pip install 'skl-locus[plot]'.")
        )
    # A figure of its own, which no window shows and pyplot does not keep.
    figure = Figure(figsize=(8, 5), layout="constrained")
    embeddings = pd.DataFrame(
        router.embeddings_, [_plain_text(label) for label in router.models_]
    )
    colors = pd.Series(families.map(_family_name).to_numpy(), embeddings.index)
    EmbeddingMapDisplay.from_predictions(embeddings, color=colors, ax=figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    picture = base64.b64encode(buffer.getvalue()).decode()
    return Section("Map", image(picture, "Map of the models by their embeddings"))


def quality(overall: pd.DataFrame) -> Section:
    """Return the routes beside the best single model and the oracle."""
    content = paragraph(
        "The routing score is the mean score of the chosen models, with its 95% "
        "interval; the difference is that from the router. The oracle chooses the best "
        "model of each query, which nobody knows beforehand."
    )
    return Section("Quality", content + table(overall))


def headroom(measured: RoutingHeadroom) -> Section:
    """Return what routing could win on the log."""
    return Section("Headroom", paragraph(str(measured)) + table(measured.table))


def calibration(router: Any, rows: pd.DataFrame) -> Section:
    """Return predicted probabilities beside observed scores."""
    P = router.predict_proba(rows)[:, 1].astype(np.float64)
    scores = rows["score"].to_numpy(np.float64)
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.clip(np.digitize(P, edges) - 1, 0, BINS - 1)
    frame = pd.DataFrame({"P(correct)": P, "score": scores}).groupby(bins)
    means = frame.mean()
    means.insert(0, "evaluations", frame.size())
    means.index = [f"{edges[i]:.1f} to {edges[i + 1]:.1f}" for i in means.index]
    error = expected_calibration_error(scores, P)
    content = paragraph(
        f"Predicted probabilities and mean scores; they differ by {error:.3f} on "
        "average (expected calibration error)."
    )
    return Section("Calibration", content + table(means))


def _family_name(number: float) -> str:
    return "" if pd.isna(number) else f"family {int(number)}"


def _plain_text(label: Any) -> str:
    """Return a label that matplotlib does not take for a formula."""
    return str(label).replace("$", r"\$")
