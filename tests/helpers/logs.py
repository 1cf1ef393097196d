"""Logs that several test modules share, and how many of them to try."""

import numpy as np
import pandas as pd
from hypothesis import Phase, settings
from hypothesis import strategies as st

EXAMPLES = settings(
    max_examples=20,
    phases=[Phase.generate],  # shrinking a failed fit would take minutes
)
SEEDS = st.integers(0, 2**16)


def make_log(seed, sizes=(20, 13, 17, 6), *, n_queries=30, n_features=16, repeats=0):
    """Log of models that saw their own queries, with scores of which sums round."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_queries, n_features)).astype(np.float32)
    codes = [rng.choice(n_queries, size, replace=False) for size in sizes]
    log = pd.DataFrame(
        {
            "model": np.repeat([f"m{i}" for i in range(len(sizes))], sizes),
            "query": [vectors[code] for code in np.concatenate(codes)],
            "query_id": np.concatenate(codes),
        }
    )
    if repeats:
        again = rng.choice(len(log), repeats)
        log = pd.concat([log, log.iloc[again]], ignore_index=True)
    return log.assign(score=rng.integers(0, 11, len(log)) / 10)


def shuffled(log, seed):
    return log.iloc[np.random.default_rng(seed).permutation(len(log))]


def pool_of_parts(n_parts, noise, seed=0):
    """Queries on ``n_parts`` orthogonal sides, each with a model of its own."""
    rng = np.random.default_rng(seed)
    parts = rng.integers(n_parts, size=240)
    vectors = np.eye(n_parts)[parts] + rng.normal(scale=0.05, size=(240, n_parts))
    right = np.where(np.arange(n_parts)[:, None] == parts, 1 - noise, noise)
    scores = (rng.random(right.shape) < right).astype(float)
    return pd.DataFrame(
        {
            "model": np.repeat([f"m{i}" for i in range(n_parts)], 240),
            "query": list(vectors) * n_parts,
            "score": scores.ravel(),
        }
    )
