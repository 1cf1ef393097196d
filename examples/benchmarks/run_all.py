"""Measure every row of the speed tables and write one Markdown table.

    python examples/benchmarks/run_all.py

Each script measures its rows in a process of its own and leaves a JSON file per row in
``--output``; the table is made from those files, so that a row can be measured again
alone. ``--quick`` takes minutes, ``--smoke`` seconds (its numbers mean nothing).
"""

import json
import subprocess
import sys
from pathlib import Path

from measuring import machine, parse_options

SCRIPTS = {
    "embed": ("embed",),
    "correctness": ("correctness", "correctness_single", "correctness_public"),
    "route": ("route", "route_many"),
    "rank": ("rank_models", "rank_queries"),
    "threads": ("threads_locus_*", "threads_kmeans_*", "threads_knn_*"),
    "door": ("door",),
    "onboarding": (
        "onboarding_transform",
        "onboarding_add_models",
        "onboarding_add_models_same_queries",
    ),
    "imports": ("imports",),
    "fit": ("fit", "fit_*"),
}
"""Scripts beside this one and the rows that each writes, in the order of the table.

A star stands for what a row is named after: sizes of requests, logs.
"""

COLUMNS = (
    "work",
    "form",
    "median, s",
    "spread, s",
    "times faster",
    "GFLOP/s",
    "extra memory, MiB",
)

METHOD = """\
Forms take turns; medians over the repetitions. "Times faster" is relative to the first
form of a work. Extra memory is VmHWM of a fresh process, less its resident memory
before the work. GFLOP/s counts matrix products; `matrix_product_gflops` is the rate of
one large float32 product."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    described = machine()
    (options.output / "machine.json").write_text(json.dumps(described, indent=1) + "\n")
    given = sys.argv[1:] if arguments is None else arguments
    for script in SCRIPTS:
        path = Path(__file__).parent / f"{script}.py"
        subprocess.run([sys.executable, path, *given], check=True)
    table = options.output / "speed.md"
    table.write_text(markdown(options.output, described))
    print(f"-> {table}")


def markdown(folder, described):
    """Make the table of the rows that a folder holds."""
    paths = (
        path
        for rows in SCRIPTS.values()
        for row in rows
        for path in sorted(folder.glob(f"{row}.json"))
    )
    rows = [json.loads(path.read_text()) for path in paths]
    parts = (
        "# Speed",
        "\n".join(f"- {key}: {_rounded(value)}" for key, value in described.items()),
        METHOD,
        "\n".join(
            [
                _line(COLUMNS),
                _line(["---"] * len(COLUMNS)),
                *(line for row in rows for line in _lines(row)),
            ]
        ),
        "\n".join(note for row in rows for note in _notes(row)),
    )
    return "\n\n".join(parts) + "\n"


def _lines(row):
    medians = [values["median"] for values in row["forms"].values()]
    for form, values in row["forms"].items():
        cells = (
            row["work"],
            form,
            values["median"],
            " to ".join(_rounded(s) for s in values["spread"]),
            medians[0] / values["median"] if len(medians) > 1 else "",
            values.get("gflops", ""),
            values.get("extra_mib", ""),
        )
        yield _line(cells)


def _line(cells):
    return f"| {' | '.join(map(_rounded, cells))} |"


def _notes(row):
    known = {"work", "forms"}
    for key, value in row.items():
        if key not in known:
            yield f"- {row['work']}, {key.replace('_', ' ')}: {_rounded(value)}"


def _rounded(value):
    if isinstance(value, dict):
        return ", ".join(f"{key} {_rounded(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
