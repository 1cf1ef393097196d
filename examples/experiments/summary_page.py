"""The page of the summary: one figure and one table, read in two minutes.

It is written twice: as Markdown beside the long tables, and as a table for the site.
"""

import csv

import numpy as np
import pandas as pd
from figures import panels, save
from markdown import table as markdown_table
from methods import LOCUS, LOCUS_PAPER, make
from options import speed, summary_folder
from results_versions import commit
from summary_tables import RANDOM_MIXTURES, REFERENCE
from summary_timings import FILE_NAME as TIMINGS

import skl_locus

PAGE, PICTURE, TABLE = "summary.md", "summary.png", "summary.csv"
LEADS = "summary_leads.txt"
MISSING = "?"
NEW_MODELS = {
    LOCUS: "forward pass",
    LOCUS_PAPER: "forward pass",
    "JE-IRT": "convex fit",
    "MIRT": "convex fit",
}
"""How the vector of a new model is found, where the kind of router does not say it."""

HEADINGS = {
    "log_loss": "Log loss",
    "routing_accuracy": "Routing, points",
    "aiq": "AIQ",
    "qnc": "QNC",
    "fit_seconds": "Fit, s",
    "route_microseconds": "Route, µs",
    "new": "A new model",
    "embeddings": "Embeddings",
    "torch": "Torch",
}


def write_page(tables, n_missing, options):
    """Write page, figure and table; return the path of the page."""
    timings = read_timings(options)
    rows = rows_of_page(tables, timings, options)
    rows.to_csv(summary_folder(options) / TABLE, index=False, quoting=csv.QUOTE_MINIMAL)
    leads = where_others_lead(tables)
    (summary_folder(options) / LEADS).write_text("\n".join(leads) + "\n")
    draw_summary(tables["methods"], timings, summary_folder(options) / PICTURE)
    blocks = [
        "# Every method on four logs",
        *introduction(tables, n_missing, options),
        f"![{PICTURE}]({PICTURE})",
        markdown_table(rows),
        *explanations(tables, timings),
        "**What has a better mean than LOCUS** (means; many within chance):",
        "\n".join(leads),
    ]
    path = summary_folder(options) / PAGE
    path.write_text("\n\n".join(blocks) + "\n")
    return path


def read_timings(options):
    path = summary_folder(options) / TIMINGS
    if not path.exists():
        return pd.DataFrame(columns=["method", "fit_seconds", "route_microseconds"])
    return pd.read_csv(path)


def rows_of_page(tables, timings, options):
    """Return the table of the page, the lowest log loss first."""
    methods = tables["methods"].sort_values("log_loss_difference")
    names = [
        *methods["method"],
        *(m for m in options.methods if m not in set(methods["method"])),
    ]
    by_method = {
        name: table.set_index("method")
        for name, table in (("methods", methods), ("timings", timings))
    }
    costs = tables["costs"].set_index("method") if len(tables["costs"]) else None
    rows = []
    for name in [*names, RANDOM_MIXTURES]:
        row = {"Method": name}
        own = _row(by_method["methods"], name)
        row[HEADINGS["log_loss"]] = interval(own, "log_loss", digits=4)
        row[HEADINGS["routing_accuracy"]] = interval(
            own, "routing_accuracy", scale=100, digits=1
        )
        for log, shifted in tables["shift"].groupby("log"):
            own = _row(shifted.set_index("method"), name)
            n_tasks = shifted["n_tasks"].max()
            row[f"A task left out: {log}, {n_tasks} tasks"] = means(own)
        own = _row(costs, name)
        row[HEADINGS["aiq"]] = level(own, "aiq", digits=3)
        row[HEADINGS["qnc"]] = quality_neutral(own)
        own = _row(by_method["timings"], name)
        for column in ("fit_seconds", "route_microseconds"):
            row[HEADINGS[column]] = MISSING if own is None else f"{own[column]:.3g}"
        if name == RANDOM_MIXTURES:
            # No router, so that these cells are not missing but do not exist.
            row = {key: "" if cell == MISSING else cell for key, cell in row.items()}
        rows.append(row | capabilities(name))
    return pd.DataFrame(rows)


def where_others_lead(tables):
    """List what has a better mean than LOCUS, by log: plain list items.

    Means alone: the long tables have the intervals, and many of these differences are
    within chance.
    """
    columns = {
        "log loss": ("log_loss_difference", 1, "+.4f"),
        "routing, points": ("routing_accuracy_difference", -1, "+.1f"),
        "AIQ": ("aiq", -1, ".4f"),
    }
    parts = {
        "": tables["logs"],
        "a task left out, ": tables["shift"],
        "costs, ": tables["costs"],
    }
    items = []
    for part, table in parts.items():
        for what, (column, sign, form) in columns.items():
            if column not in table:
                continue
            for log, own in table.groupby("log", sort=False):
                named = f"{part}{what}, {log}"
                values = own.set_index("method")[column].dropna()
                values = values.drop(RANDOM_MIXTURES, errors="ignore")
                if LOCUS in values.index:
                    items.append(f"- {named}: {_leaders(values, sign, form)}")
    return items


def _leaders(values, sign, form):
    """Name the methods before LOCUS, the best first, with their values and its own."""
    scale = 100 if form == "+.1f" else 1
    better = (sign * values).sort_values(kind="stable")
    better = better[better < sign * values[LOCUS]].index
    named = [f"{name} {format(scale * values[name], form)}" for name in better]
    own = format(scale * values[LOCUS], form)
    return f"{', '.join(named) or 'none'} (LOCUS {own})"


def _row(table, name):
    if table is None or name not in table.index:
        return None
    return table.loc[name]


def interval(row, metric, *, scale=1, digits):
    """Write a difference from the reference with its interval."""
    if row is None or row.name == REFERENCE:
        return "0" if row is not None else MISSING
    values = [row[f"{metric}_{part}"] * scale for part in ("difference", "low", "high")]
    if not np.isfinite(values[0]):
        return MISSING
    middle, low, high = (f"{value:+.{digits}f}" for value in values)
    return f"{middle} [{low}, {high}]"


def means(row):
    """Write the differences of log loss and of routing, without intervals."""
    if row is None or not np.isfinite(row["log_loss_difference"]):
        return MISSING
    if row.name == REFERENCE:
        return "0"
    loss, routing = row["log_loss_difference"], 100 * row["routing_accuracy_difference"]
    return f"{loss:+.3f}, {routing:+.1f}"


def level(row, name, *, digits):
    """Write a value with its interval."""
    if row is None or not np.isfinite(row[name]):
        return MISSING
    parts = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    middle, low, high = (f"{value:.{digits}f}" for value in parts)
    return f"{middle} [{low}, {high}]"


def quality_neutral(row):
    """Write QNC; where the quality is not reached, how often it is when resampled."""
    if row is None:
        return MISSING
    if not np.isfinite(row["qnc"]):
        return f"reached in {row['qnc_reached']:.0%} of resamples"
    return level(row, "qnc", digits=2)


def capabilities(name):
    """Say what a method can do, as its estimator says it."""
    if name == RANDOM_MIXTURES:
        return {HEADINGS[key]: "" for key in ("new", "embeddings", "torch")}
    router = make(name, 0)
    # Routers that are trained by gradients take a device.
    needs_torch = "device" in router.get_params(deep=False)
    is_embedding = hasattr(type(router), "embeddings_")
    closed_form = "vector trained" if needs_torch else "in closed form"
    return {
        HEADINGS["new"]: NEW_MODELS.get(name, closed_form),
        HEADINGS["embeddings"]: "yes" if is_embedding else "no",
        HEADINGS["torch"]: "to fit" if needs_torch else "no",
    }


def introduction(tables, n_missing, options):
    half = (
        "test halves (`--report`)"
        if options.report
        else "development halves; the test halves were not read"
    )
    by_log = tables["logs"]
    sizes = [
        f"{log} ({own['n'].iloc[0]} training queries, {own['n_draws'].max()} draws)"
        for log, own in by_log.groupby("log", sort=False)
    ]
    blocks = [
        f"skl_locus {skl_locus.__version__} (commit {commit()}), plan "
        f"{speed(options)}, {half}. Logs: {', '.join(sizes)}."
    ]
    if n_missing:
        blocks.append(
            f"**Not complete:** {n_missing} results are missing "
            f"(`summary_missing.csv`); `{MISSING}` stands for them."
        )
    return blocks


def explanations(tables, timings):
    """Say what the columns are, in the order of the table."""
    log = timings.iloc[0] if len(timings) else None
    where = "" if log is None else f" ({log['models']} models, {log['n']} queries)"
    return [
        f"Log loss and routing are differences from `{REFERENCE}`, whose P is the mean "
        "score of each model, averaged over the logs; 95% intervals by a two-way "
        "bootstrap over draws and test queries of each log. Lower log loss and more "
        "routing points are better.",
        "A task left out: the same two differences on the queries of a task that was "
        "not in the training queries, averaged over tasks (`summary_shift.csv` has "
        "intervals over tasks).",
        "AIQ and QNC are of the log with costs, routerbench: mean quality over the "
        "range of costs (higher is better), and relative cost of the quality of the "
        "best single model (lower is better). A decision knows the mean cost of each "
        f"model in training. `{RANDOM_MIXTURES}` is the zero router on the test "
        "queries themselves.",
        f"Seconds and microseconds are of one thread of the processor{where}, measured "
        "by `--timings`; a route has vectors, not texts. Every method takes new models "
        "without a new fit of the others, texts by an encoder, and costs in `route`. "
        "LLM-DNA is missing: it embeds models by their answers and predicts nothing.",
        "Long tables: `summary_logs.csv` (each log), `summary_tasks.csv` (each task), "
        "`summary_costs.csv`, `summary_timings.csv`.",
    ]


def draw_summary(methods, timings, path):
    """Draw the differences and the time of a fit, a row per method."""
    methods = methods.sort_values("log_loss_difference", ascending=False)
    seconds = timings.set_index("method")["fit_seconds"].reindex(methods["method"])
    position = np.arange(len(methods))
    figure, axes = panels(3, width=3.8, height=0.27 * len(methods) + 1.2)
    for ax, metric, scale, title in (
        (axes[0], "log_loss", 1, "Log loss less best single\n(left is better)"),
        (
            axes[1],
            "routing_accuracy",
            100,
            "Routing, points above best single\n(right is better)",
        ),
    ):
        middle, low, high = (
            methods[f"{metric}_{part}"].to_numpy() * scale
            for part in ("difference", "low", "high")
        )
        ours = methods["method"].isin([LOCUS, LOCUS_PAPER]).to_numpy()
        for own, color in ((~ours, "tab:grey"), (ours, "tab:red")):
            error = np.stack([middle - low, high - middle])[:, own]
            ax.errorbar(
                middle[own], position[own], xerr=error, fmt="o", capsize=2, color=color
            )
        ax.axvline(0, color="black", lw=0.8)
        ax.set_title(title, fontsize=10)
    axes[2].plot(seconds, position, "s", color="tab:blue")
    axes[2].set_title("Fit, processor seconds\n(one thread)", fontsize=10)
    if seconds.notna().any():
        axes[2].set_xscale("log")
    limit_to_most(axes[0], methods["log_loss_difference"], methods["method"], position)
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.set_yticks(
            position, methods["method"] if ax is axes[0] else [""] * len(position)
        )
    save(figure, path)


def limit_to_most(ax, values, names, position):
    """Cut off methods whose log loss is far out, and write their numbers instead."""
    values = values.to_numpy()
    known = values[np.isfinite(values)]
    if not len(known):
        return
    width = max(3 * np.abs(np.median(known)), -2 * known.min(), 0.05)
    beyond = values > width
    if not beyond.any():
        return
    low = ax.get_xlim()[0]
    ax.set_xlim(max(low, -2 * width), width)
    for y, value in zip(position[beyond], values[beyond], strict=True):
        ax.text(width, y, f"{value:+.2f} →", ha="right", va="center", fontsize=8)
