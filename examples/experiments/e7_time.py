"""Seconds to embed models and to predict, by evaluations, models, queries (Figure 18).

What is timed is what a user calls: a table of evaluations goes in, so that reading it
is part of the time. One thread on the processor at hand; times are never cached.
"""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from e4_geometry import fit_routers
from figures import label, lines, panels, save
from matplotlib.ticker import LogLocator, NullLocator
from methods import SET_EMBEDDERS
from options import folder_of, main_logs, parse_options, speed
from protocol import frame
from threadpoolctl import threadpool_limits

NAME = "e7_time"
SEED = 0


@dataclass(frozen=True)
class Plan:
    """Training queries, evaluations and models to embed, queries to predict."""

    n_queries: int
    evaluations: tuple
    models: tuple
    queries: tuple
    repeats: int


PLANS = {
    "full": Plan(1024, (256, 1024, 4096), (1, 28, 112), (1, 64, 1024, 4096), 3),
    "paper": Plan(4096, (256, 1024, 4096), (1, 28, 112), (1, 64, 1024, 4096), 3),
    "quick": Plan(512, (128, 256, 512), (1, 28, 112), (1, 64, 1024), 2),
    "smoke": Plan(64, (16, 32), (1, 4), (1, 16), 1),
}


def run(options):
    plan = PLANS[speed(options)]
    for log in main_logs(options):
        routers = fit_routers(SET_EMBEDDERS, log, plan.n_queries, options)
        if not routers:
            continue
        with threadpool_limits(1):
            rows = [
                {"method": name, **row}
                for name, router in routers.items()
                for row in [
                    *time_embedding(router, log, plan),
                    *time_prediction(router, log, plan),
                ]
            ]
        table = pd.DataFrame(rows)
        folder = folder_of(log, options)
        table.to_csv(folder / f"{NAME}.csv", index=False)
        draw_times(table, log, folder / f"{NAME}.png")


def time_embedding(router, log, plan):
    """Embed copies of the log's models under other names."""
    if not hasattr(router, "embedder_"):
        return
    for n in (n for n in plan.evaluations if n <= len(log.rest)):
        for count in plan.models:
            table = copies(log, n, count)
            seconds = best_time(lambda t=table: router.embedder_.transform(t), plan)
            yield {"what": "embed", "n": n, "models": count, "seconds": seconds}


def copies(log, n, count):
    """Return a table of that many models with n evaluations each."""
    rows = log.rest[:n]
    drawn = np.random.default_rng(SEED).uniform(size=(n, count))
    rates = np.nan_to_num(np.nanmean(log.scores[rows], axis=0), nan=0.5)
    scores = (drawn < np.resize(rates, count)).astype(float)
    names = np.array([f"copy {i:04d}" for i in range(count)], dtype=object)
    position, model = np.nonzero(np.isfinite(scores))
    one = frame(log, rows, np.zeros((n, 1))).drop(columns="model")
    table = one.iloc[position].reset_index(drop=True)
    return table.assign(model=names[model], score=scores[position, model])


def time_prediction(router, log, plan):
    """Predict every model of the pool on bare vectors."""
    for n in plan.queries:
        vectors = np.resize(log.vectors[log.test], (n, log.vectors.shape[1]))
        seconds = best_time(lambda v=vectors: router.correctness_matrix(v), plan)
        yield {
            "what": "predict",
            "n": n,
            "models": len(router.models_),
            "seconds": seconds,
        }


def best_time(call, plan):
    """Return the shortest time of some calls after a first one that is not counted."""
    call()
    times = []
    for _ in range(plan.repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def draw_times(table, log, path):
    table = table.assign(milliseconds=1000 * table["seconds"])
    embed = table[table["what"] == "embed"]
    predict = table[table["what"] == "predict"]
    figure, (left, right) = panels(2)
    for ax in (left, right):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(NullLocator())
    if len(embed):
        embed = embed[embed["method"] == embed["method"].iloc[0]]
        names = "models: " + embed["models"].astype(str)
        lines(left, embed.assign(line=names), "n", "milliseconds", by="line")
        left.legend(fontsize=8)
    label(left, f"{log.name}: embed models", "Evaluations per model", "Milliseconds")
    lines(right, predict, "n", "milliseconds")
    right.legend(fontsize=8)
    count = predict["models"].max()
    label(right, f"Predict for {count} models", "Queries", "Milliseconds")
    save(figure, path)


if __name__ == "__main__":
    from e7_time import run as run_module

    run_module(parse_options(__doc__))
