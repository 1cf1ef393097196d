"""Measure the model atlas: time of frames and page, and sizes of its files.

    python examples/benchmarks/atlas.py --models 100 5000 100000

The embeddings and the log are made; the map is that of principal components. The page
needs plotly (extra atlas), the table pyarrow, and from 20,000 models on faiss (extra
scale) finds the neighbours in a fraction of the time.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from neighbors import families

from skl_locus.inspection import model_atlas

N_TASKS, PER_TASK = 14, 2


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, nargs="+", default=[100, 5_000])
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args(arguments)
    folder = options.output or Path(tempfile.mkdtemp())
    rows = [measured(n_models, folder) for n_models in options.models]
    for row in rows:
        print(json.dumps(row))
    return rows


def measured(n_models, folder):
    embeddings, log = made(n_models)
    # Of the processor, which other processes on the machine hardly change.
    start = time.process_time()
    atlas = model_atlas(embeddings, log)
    framed = time.process_time()
    page = atlas.to_html(folder / f"atlas-{n_models}.html")
    written = time.process_time()
    table = atlas.to_parquet(folder / f"atlas-{n_models}.parquet")
    return {
        "models": n_models,
        "frames_seconds": round(framed - start, 2),
        "page_seconds": round(written - framed, 2),
        "table_seconds": round(time.process_time() - written, 2),
        "page_mb": round(page.stat().st_size / 1e6, 2),
        "table_mb": round(table.stat().st_size / 1e6, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def made(n_models):
    """Make embeddings in families, and a log with a few scores of each task."""
    names = [f"maker-{i % 97}/model-{i}" for i in range(n_models)]
    embeddings = pd.DataFrame(families(n_models), index=names)
    rng = np.random.default_rng(2)
    n_scores = N_TASKS * PER_TASK
    log = pd.DataFrame(
        {
            "model": np.repeat(names, n_scores),
            "task": np.tile(
                [f"task-{i // PER_TASK}" for i in range(n_scores)], n_models
            ),
            "score": rng.integers(2, size=n_models * n_scores),
        }
    )
    return embeddings, log


if __name__ == "__main__":
    main()
