"""Ablations of LOCUS (Tables 7 to 10) and its robustness to noisy scores.

One part is changed at a time in the network of the paper (two layers of 64 latents),
where local evidence cannot make up for it. The number of latents is varied in the
network of LOCUS as well (one layer of 32 latents), and noise in the training scores is
tried on both.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from evaluate import evaluate_job
from figures import label, panels, save
from jobs import run_jobs
from methods import LOCUS, LOCUS_PAPER
from options import (
    ENCODERS,
    folder_of,
    job,
    parse_options,
    read_pools,
    seeds,
    sources,
    speed,
)
from protocol import COMPLETE, available_sizes

NAME = "e6_ablations"
DEFAULT = "default"
NOISES = ("flip", "grade")
METRICS = ("routing_accuracy", "correctness_accuracy", "log_loss")


@dataclass(frozen=True)
class Plan:
    """Values tried for each part, training queries, draws, share of noisy scores.

    ``changes`` are of the paper's network (its default: 64 latents, two layers),
    ``own_changes`` of the network of LOCUS (32 latents, one layer).
    """

    changes: dict
    own_changes: dict
    noise_shares: tuple
    sizes: tuple
    draws: int


N_LATENTS = (16, 32, 64, 128)
"""Numbers of latents r (eq. 2): one of them is the default, as a row of its own."""

PLANS = {
    "full": Plan(
        {
            "n_components": (16, 32, 64, 256, 512),
            "n_latents": N_LATENTS,
            "n_layers": (1, 3),
            "attention": ("full",),
        },
        {"n_latents": N_LATENTS},
        (0.2,),
        (512,),
        2,
    ),
    "paper": Plan(
        {"n_components": (16, 32, 64, 256, 512), "n_latents": N_LATENTS},
        {"n_latents": N_LATENTS},
        (),
        (256, 512, 1024),
        3,
    ),
    "quick": Plan(
        {
            "n_components": (16,),
            "n_latents": (16,),
            "n_layers": (1,),
            "attention": ("full",),
        },
        {},
        (0.2,),
        (256,),
        1,
    ),
    "smoke": Plan(
        {"n_components": (4,), "attention": ("full",)},
        {"n_latents": (2,)},
        (0.2,),
        (32,),
        1,
    ),
}


def run(options):
    plan = PLANS[speed(options)]
    for files in sources(options):
        log, _ = read_pools(files, options)
        sizes = available_sizes(log, plan.sizes)
        encoder = files.encodings.stem.removeprefix("encodings_")
        jobs = [
            job(options, seed=seed, cell=COMPLETE, n=n, **configuration)
            for n in sizes
            for configuration in configurations(plan, encoder, options)
            for seed in seeds(options, plan.draws)
        ]
        if not jobs:
            continue
        results = run_jobs(evaluate_job, log, jobs, options, NAME)
        others = measure_other_encoder(files, sizes, plan, options)
        table = pd.concat([tidy(results, jobs), *others])
        folder = folder_of(log, options)
        table.to_csv(folder / f"{NAME}.csv", index=False)
        n = sizes[-1]
        draw_ablations(table[table["n"] == n], log, n, folder / f"{NAME}.png")


def configurations(plan, encoder, options):
    """List methods with one part changed, or with noise in the scores."""
    for method in (LOCUS_PAPER, LOCUS):
        if method not in options.methods:
            continue
        yield {"method": method, "part": DEFAULT, "value": encoder}
        for noise in NOISES:
            for share in plan.noise_shares:
                yield {
                    "method": method,
                    "part": f"scores: {noise}",
                    "value": f"{share:.0%}",
                    "noise": noise,
                    "noise_share": share,
                }
        changes = plan.changes if method == LOCUS_PAPER else plan.own_changes
        for part, values in changes.items():
            for value in values:
                yield {
                    "method": method,
                    "part": part,
                    "value": str(value),
                    "changes": {part: value},
                }


def tidy(results, jobs):
    return pd.DataFrame(
        [
            {"part": job["part"], "value": job["value"]} | row
            for result, job in zip(results, jobs, strict=True)
            for row in result["rows"]
            if row["task"] == "all"
        ]
    )


def measure_other_encoder(files, sizes, plan, options):
    """Measure with other encodings of the same texts, if the folder has them."""
    methods = [name for name in (LOCUS_PAPER, LOCUS) if name in options.methods]
    for name in ENCODERS:
        path = files.encodings.with_name(f"encodings_{name}.npy")
        if path == files.encodings or not path.exists():
            continue
        log, _ = read_pools(replace(files, encodings=path), options)
        jobs = [
            job(options, method, seed, cell=COMPLETE, n=n, part="encoder", value=name)
            for n in sizes
            for method in methods
            for seed in seeds(options, plan.draws)
        ]
        title = f"{NAME}, {name}"
        yield tidy(run_jobs(evaluate_job, log, jobs, options, title), jobs)


def draw_ablations(table, log, n, path):
    """Show each configuration beside the default of its method."""
    names = table["method"] + ": " + table["part"] + " " + table["value"]
    groups = table.assign(name=names.str.strip()).groupby("name", sort=False)
    means = groups[list(METRICS)].mean()
    errors = groups[list(METRICS)].sem()
    figure, axes = panels(len(METRICS), width=4.5, height=0.3 * len(means) + 1.5)
    for ax, metric in zip(axes, METRICS, strict=True):
        position = -np.arange(len(means))
        ax.errorbar(means[metric], position, xerr=errors[metric], fmt="o", capsize=2)
        for name, value in means[metric].items():
            if f": {DEFAULT}" in name:
                ax.axvline(value, ls="--", lw=0.8, color="grey")
        ax.set_yticks(position, means.index if ax is axes[0] else [""] * len(means))
        ax.grid(alpha=0.3)
        label(ax, "", metric.replace("_", " ").capitalize(), "")
    figure.suptitle(f"{log.name}, {n} training queries; dashed: defaults")
    save(figure, path)


if __name__ == "__main__":
    from e6_ablations import run as run_module

    run_module(parse_options(__doc__))
