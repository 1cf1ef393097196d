"""The protocol of comparisons: a log as a matrix, its halves, draws and cells.

Queries are identified by their text and sorted by it. A fixed permutation splits them
into a test half and another half, from which each draw takes its training queries.
Development splits that other half again in the same way and never reads the test half.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

HALVES_SEED = 100
SPARSE_SHARE = 4
"""In the sparse cell, each model sees one out of that many training queries."""

TRAINING_SPLIT, DEVELOPMENT_SPLIT, TEST_SPLIT = "train", "val", "test"
"""Names in the column split of the queries of a log that has its own splits."""

COMPLETE, SPARSE, SHIFT = "complete", "sparse", "shift: "
ALL_MODELS = "all"


@dataclass(frozen=True)
class Files:
    """Where a log is: tables (parquet or CSV), vectors (.npy), and named pools.

    ``held_out`` names the new models of a log whose protocol fixes them.
    """

    name: str
    evaluations: Path
    queries: Path
    encodings: Path
    models: Path | None = None
    pools: Path | None = None
    held_out: tuple = ()

    @classmethod
    def in_folder(cls, folder, encoder):
        """Find the files of one of the folders of ``../shared/data``."""
        folder = Path(folder).resolve()
        return cls(
            folder.name,
            folder / "evaluations.parquet",
            folder / "queries.parquet",
            folder / f"encodings_{encoder}.npy",
            folder / "models.csv",
            folder.parent / "pools.json",
        )


@dataclass(frozen=True)
class Log:
    """Scores (n_queries, n_models), NaN where unobserved; rows sorted by text.

    ``test`` and ``rest`` are the rows of the two halves. ``costs`` has the shape of the
    scores; None where the log has no costs. ``held_out`` are the names of the new
    models, empty where the experiment chooses them.
    """

    name: str
    pool: str
    models: np.ndarray
    texts: np.ndarray
    tasks: np.ndarray
    vectors: np.ndarray
    scores: np.ndarray
    details: pd.DataFrame
    test: np.ndarray
    rest: np.ndarray
    costs: np.ndarray | None = None
    held_out: tuple = ()

    @property
    def fingerprint(self):
        """Identify all that a result can depend on."""
        return joblib.hash(
            [list(self.models), self.vectors, self.scores, self.test, list(self.tasks)]
        )


@dataclass(frozen=True)
class Draw:
    """Training rows, what was seen of their scores (NaN if hidden), and test rows."""

    train: np.ndarray
    seen: np.ndarray
    test: np.ndarray


def read_log(files, *, report):
    """Read a log with all its models, its halves for the report or development."""
    queries = read_table(files.queries).astype({"query_id": str})
    evaluations = read_table(files.evaluations)
    details = pd.DataFrame(index=pd.Index([], name="model"))
    if files.models is not None and files.models.exists():
        details = read_table(files.models).set_index("model")
    log = make_log(
        files.name,
        evaluations.astype({"model": str, "query_id": str}),
        queries,
        np.load(files.encodings),
        details,
        report=report,
    )
    return replace(log, held_out=files.held_out)


def read_table(path):
    return pd.read_csv(path) if Path(path).suffix == ".csv" else pd.read_parquet(path)


def make_log(name, evaluations, queries, encodings, details, *, report):
    """Put a table of evaluations into a matrix of models and distinct texts."""
    texts = queries["query"] if "query" in queries else queries["query_id"]
    tasks = queries["task"] if "task" in queries else pd.Series("all", queries.index)
    distinct, first, row_of = np.unique(
        texts.to_numpy(str), return_index=True, return_inverse=True
    )
    text_of = pd.Series(texts.to_numpy(str), queries["query_id"].to_numpy())
    cells = evaluations.assign(text=evaluations["query_id"].map(text_of))
    scores = by_text(cells, "score", distinct)
    costs = by_text(cells, "cost", distinct) if "cost" in cells else None
    if "split" in queries:
        test, rest = own_splits(queries["split"].to_numpy(str), row_of, report=report)
    else:
        test, rest = halves(len(distinct), report=report)
    return Log(
        name,
        ALL_MODELS,
        scores.columns.to_numpy(object),
        distinct,
        tasks.to_numpy(str)[first],
        np.asarray(encodings, np.float32)[first],
        scores.to_numpy(np.float64),
        details,
        test,
        rest,
        None if costs is None else costs[scores.columns].to_numpy(np.float64),
    )


def by_text(cells, column, texts):
    """Average a column over equal texts: a row per text, a column per model."""
    return cells.pivot_table(
        index="text", columns="model", values=column, observed=True
    ).reindex(texts)


def halves(n_queries, *, report):
    """Return test and other rows, of the whole log or (development) of its half."""
    test, rest = _split(np.arange(n_queries))
    return (test, rest) if report else _split(np.sort(rest))


def own_splits(splits, row_of, *, report):
    """Return test and training rows of a log with splits; ``row_of`` is per query.

    A text that is in a test or development query as well is not trained on.
    """
    rows = {split: np.unique(row_of[splits == split]) for split in np.unique(splits)}
    names = (TRAINING_SPLIT, DEVELOPMENT_SPLIT, TEST_SPLIT)
    train, development, test = (rows.get(name, np.arange(0)) for name in names)
    chosen = test if report else np.setdiff1d(development, test)
    return chosen, np.setdiff1d(train, np.concatenate([development, test]))


def _split(rows):
    order = np.random.default_rng(HALVES_SEED).permutation(rows)
    middle = len(rows) // 2
    return order[:middle], order[middle:]


def restrict(log, pool, files):
    """Keep the models of a named pool."""
    if pool == ALL_MODELS:
        return log
    members = json.loads(files.pools.read_text())[files.name][pool]
    return replace(keep_models(log, np.isin(log.models, members)), pool=pool)


def keep_models(log, kept):
    """Keep the models of a mask."""
    costs = None if log.costs is None else log.costs[:, kept]
    return replace(
        log, models=log.models[kept], scores=log.scores[:, kept], costs=costs
    )


def draw(log, cell, n, seed):
    """Draw the training queries of a cell and hide what its models have not seen."""
    candidates, test = log.rest, log.test
    if cell.startswith(SHIFT):
        task = cell.removeprefix(SHIFT)
        candidates = candidates[log.tasks[candidates] != task]
        test = test[log.tasks[test] == task]
    train = np.random.default_rng(seed).permutation(candidates)[:n]
    seen = log.scores[train]
    if cell == SPARSE:
        seen = np.where(_own_quarter(seen.shape, seed), seen, np.nan)
    return Draw(train, seen, test)


def _own_quarter(shape, seed):
    """Choose for each model its own random quarter of the queries."""
    n_queries, n_models = shape
    rng = np.random.default_rng([seed, SPARSE_SHARE])
    chosen = np.zeros(shape, dtype=bool)
    for model in range(n_models):
        chosen[rng.permutation(n_queries)[: n_queries // SPARSE_SHARE], model] = True
    return chosen


def subsample(scores, size, rng):
    """Keep that many of each model's observed scores, at random."""
    kept = np.full(scores.shape, np.nan)
    for model in range(scores.shape[1]):
        observed = np.flatnonzero(np.isfinite(scores[:, model]))
        chosen = rng.permutation(observed)[:size]
        kept[chosen, model] = scores[chosen, model]
    return kept


def largest_tasks(log, count):
    return pd.Series(log.tasks[log.rest]).value_counts().index[:count].tolist()


def available_sizes(log, sizes):
    """Keep the sizes that the training half has queries for, or all of it."""
    return [n for n in sizes if n <= len(log.rest)] or [len(log.rest)]


def frame(log, rows, scores):
    """Return one row per observed score: what routers are fitted on."""
    position, model = np.nonzero(np.isfinite(scores))
    used = rows[position]
    cells = np.fromiter(log.vectors, dtype=object, count=len(log.vectors))
    return pd.DataFrame(
        {
            "model": log.models[model],
            "query": cells[used],
            "query_id": used,
            "task": log.tasks[used],
            "score": scores[position, model],
        }
    )
