"""Charts that several experiments share; matplotlib draws to files only."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

DOTS_PER_INCH = 120
MARKERS = "osD^vPX*h<>d"
COLORS = "tab10"


def panels(columns, rows=1, *, width=5.2, height=4.2):
    """Return a figure and its axes, row by row."""
    size = width * columns, height * rows
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False
    )
    return figure, axes.ravel()


def lines(ax, table, x, y, *, by="method", error=None, log_x=True):
    """Draw one line per group of a table, with error bars of a column."""
    colors = plt.get_cmap(COLORS)
    for i, (name, group) in enumerate(table.groupby(by, sort=False)):
        group = group.sort_values(x)
        ax.errorbar(
            group[x],
            group[y],
            yerr=None if error is None else group[error],
            marker=MARKERS[i % len(MARKERS)],
            color=colors(i % colors.N),
            ls="-" if i < colors.N else "--",
            ms=5,
            capsize=2,
            label=str(name),
        )
    if log_x:
        powers(ax, sorted(table[x].unique()))
    ax.grid(alpha=0.3)


def powers(ax, values):
    """Put ticks of a logarithmic axis at the values themselves."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(values)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


def level(ax, value, label, style="--"):
    ax.axhline(value, ls=style, color="grey", lw=1, label=label)


def label(ax, title, x, y):
    ax.set(title=title, xlabel=x, ylabel=y)


def legend_outside(figure, ax):
    """Put the legend of one axes beside the figure, where it covers nothing."""
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")


def save(figure, path):
    # Names of models may reach beyond what was planned for them.
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
    plt.close(figure)
