"""Add a year of nights to a router, and measure whether it stays bounded.

    python examples/benchmarks/nights.py --nights 365

Every night each model is evaluated on some queries, most of them new; once a week a
model comes and the oldest one goes. Evaluations beyond a number per model, and those
older than 90 days, are forgotten. A line is printed at the start, at the end and some
times between: the size of the pool, the stored evaluations, the size of the saved file,
and the seconds that a night takes, of the clock and of the processor.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from skl_locus import LocusRouter, save

N_FEATURES, N_TRAITS = 64, 4
PER_NIGHT = 12
N_FITTED = 300
"""Queries of the first fit."""

WEEK, MAX_AGE = 7, 90
N_LINES = 6


def main(arguments=None):
    options = parse_options(arguments)
    service = Service(options)
    rows, times = [], []
    shown = {*np.linspace(1, options.nights, N_LINES).astype(int).tolist()}
    for night in range(1, options.nights + 1):
        start, processor = time.perf_counter(), time.process_time()
        service.learn(night)
        times.append(
            (time.perf_counter() - start, time.process_time() - processor),
        )
        if night in shown:
            recent = np.mean(times[-WEEK:], axis=0).round(4).tolist()
            rows.append({"night": night, **service.size(), **named(recent)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--max-evaluations", type=int, default=400)
    parser.add_argument(
        "--unbounded", action="store_true", help="forget nothing, for comparison"
    )
    return parser.parse_args(arguments)


def named(recent):
    return dict(zip(("seconds", "processor_seconds"), recent, strict=True))


class Service:
    """A router that learns every night."""

    def __init__(self, options):
        self.options = options
        self.rng = np.random.default_rng(0)
        self.traits, self.n_made = {}, 0
        self.to_traits = self.rng.normal(size=(N_FEATURES, N_TRAITS))
        for _ in range(options.models):
            self.arrive()
        log = self.evaluations(self.queries(0, N_FITTED))
        self.router = LocusRouter(max_iter=30, random_state=0)
        self.router.fit(log.drop(columns="day"), log["score"])

    def learn(self, night):
        """Add the evaluations of one night."""
        come = gone = None
        if night % WEEK == 0:
            come, gone = self.arrive(), next(iter(self.traits))
            del self.traits[gone]
        log = self.evaluations(self.queries(night, PER_NIGHT), night)
        if come is not None:
            first = self.queries(night, N_FITTED, stream=1)
            log = pd.concat([log, self.evaluations(first, night, [come])])
        forget = {
            "max_evaluations_per_model": self.options.max_evaluations,
            "max_age": MAX_AGE,
        }
        if self.options.unbounded:
            forget = {}
        self.router.add_models(
            log.drop(columns="score"), log["score"], time_col="day", **forget
        )
        if gone is not None:
            self.router.remove_models([gone])

    def size(self):
        """Return what may grow."""
        known = self.router._pool.evaluations
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "router"
            save(self.router, path)
            n_bytes = path.stat().st_size
        return {
            "models": len(self.router.models_),
            "evaluations": len(known),
            "queries": len(known.queries),
            "file_mib": round(n_bytes / 2**20, 2),
        }

    def arrive(self):
        """Make a model, and return its name."""
        name, self.n_made = f"model-{self.n_made:04d}", self.n_made + 1
        self.traits[name] = self.rng.normal(size=N_TRAITS)
        return name

    def queries(self, night, n, stream=0):
        """Make queries that no other night or stream has."""
        rng = np.random.default_rng([night, stream])
        vectors = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
        return pd.DataFrame(
            {
                "query_id": [f"{night}-{stream}-{i}" for i in range(n)],
                "query": list(vectors),
            }
        )

    def evaluations(self, queries, night=0, models=None):
        """Draw scores of models on queries."""
        vectors, frames = np.stack(queries["query"]), []
        levels = vectors @ self.to_traits / np.sqrt(N_FEATURES)
        for name in models or self.traits:
            P = 1 / (1 + np.exp(-levels @ self.traits[name]))
            score = (self.rng.random(len(P)) < P).astype(float)
            frames.append(queries.assign(model=name, score=score, day=night))
        return pd.concat(frames, ignore_index=True)


if __name__ == "__main__":
    main()
