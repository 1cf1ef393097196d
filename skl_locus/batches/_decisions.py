"""Decisions, rankings and scores for streams of queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skl_locus._costs.cost_model import CostModel
from skl_locus._data.streams import (
    BATCH_ROWS,
    Part,
    arrow,
    count_rows,
    read_parts,
    source_identity,
    vector_column,
    vectors_of,
)
from skl_locus._routing.decisions import query_blocks, top_k
from skl_locus.batches._identity import router_identity, router_inside
from skl_locus.batches._results import ResultStream

DTYPES = ("float32", "float16")


def route_batches(
    router: Any,
    batches: Any,
    *,
    keep: Sequence[str] | None = None,
    batch_size: int = BATCH_ROWS,
    verbose: int = 0,
    **options: Any,
) -> ResultStream:
    """Choose a model for each query of a stream.

    Parameters
    ----------
    router : router or RouterPolicy
        Fitted.
    batches : path, pyarrow Dataset, dataframe, or iterable of dataframes or batches
        Queries: a column of texts or vectors, or columns of encodings, as `route` of
        the router takes them. Paths are parquet files or folders of them.
    keep : sequence of str, default=None
        Columns that are copied to the result; None for the column of query ids, if
        there is one.
    batch_size : int, default=16384
        Largest number of queries in memory.
    verbose : int, default=0
        1 shows a progress bar.
    **options
        Passed to ``router.route``. Costs are a mapping or a `~skl_locus.CostModel`:
        arrays with one row per query belong to no stream.

    Returns
    -------
    ResultStream
        A generator of pyarrow record batches with the kept columns and "model".

    Raises
    ------
    OSError
        If a file is missing or cannot be read, naming it.
    ValueError
        If a part of the stream has other columns than the first, naming it.

    Examples
    --------
    >>> from skl_locus import BestSingleRouter
    >>> from skl_locus.batches import route_batches
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=4, n_queries=30, random_state=0)
    >>> log = pool.evaluations
    >>> router = BestSingleRouter().fit(log, log["score"])
    >>> queries = log[log["model"] == "model-0"].drop(columns=["model", "score"])
    >>> decisions = route_batches(router, queries, batch_size=10)
    >>> [batch.num_rows for batch in decisions]
    [10, 10, 10]
    """
    labels = _label_type(router)

    def compute(queries: Any) -> dict[str, Any]:
        return {"model": arrow().array(router.route(queries, **options), type=labels)}

    operation = {"operation": "route", "options": _shown(options)}
    return _stream(
        router,
        batches,
        compute,
        operation,
        keep,
        batch_size,
        verbose,
        costs=options.get("costs"),
    )


def rank_batches(
    router: Any,
    batches: Any,
    k: int,
    *,
    keep: Sequence[str] | None = None,
    batch_size: int = BATCH_ROWS,
    verbose: int = 0,
    **options: Any,
) -> ResultStream:
    """Order the best models for each query of a stream.

    Parameters
    ----------
    router : router or RouterPolicy
        Fitted.
    batches : path, pyarrow Dataset, dataframe, or iterable of dataframes or batches
        Queries, as in `route_batches`.
    k : int
        Number of models per query.
    keep : sequence of str, default=None
        Columns that are copied to the result; None for the column of query ids, if
        there is one.
    batch_size : int, default=16384
        Largest number of queries in memory.
    verbose : int, default=0
        1 shows a progress bar.
    **options
        Passed to ``router.rank``.

    Returns
    -------
    ResultStream
        A generator of pyarrow record batches with the kept columns and the lists
        "models" and "probabilities" of length k, best first; with a floor also
        "reached".

    Raises
    ------
    OSError
        If a file is missing or cannot be read, naming it.
    ValueError
        If a part of the stream has other columns than the first, naming it.
    """
    labels = _label_type(router)

    def compute(queries: Any) -> dict[str, Any]:
        ranking = router.rank(queries, k, **options)
        columns = {
            "models": _lists(ranking.labels, labels),
            "probabilities": vector_column(ranking.probabilities),
        }
        if ranking.reached is not None:
            columns["reached"] = vector_column(ranking.reached)
        return columns

    operation = {"operation": "rank", "k": k, "options": _shown(options)}
    return _stream(
        router,
        batches,
        compute,
        operation,
        keep,
        batch_size,
        verbose,
        costs=options.get("costs"),
    )


def score_batches(
    router: Any,
    batches: Any,
    *,
    k: int | None = None,
    models: Sequence | None = None,
    dtype: str = "float32",
    keep: Sequence[str] | None = None,
    batch_size: int = BATCH_ROWS,
    verbose: int = 0,
) -> ResultStream:
    """Return P(correct) of all models, or of the best ones, for a stream of queries.

    Parameters
    ----------
    router : router or RouterPolicy
        Fitted.
    batches : path, pyarrow Dataset, dataframe, or iterable of dataframes or batches
        Queries, as in `route_batches`.
    k : int, default=None
        Number of models per query, those with the largest P first; None for all.
    models : sequence of labels, default=None
        Models to score, all by default.
    dtype : {"float32", "float16"}, default="float32"
        Type of the probabilities. float16 errs by up to 0.00025 and halves the files.
    keep : sequence of str, default=None
        Columns that are copied to the result; None for the column of query ids, if
        there is one.
    batch_size : int, default=16384
        Largest number of queries in memory.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    ResultStream
        A generator of pyarrow record batches with the kept columns and the list
        "probabilities": of all models in the order that the metadata of the column has
        as JSON under "models"; or of k models, whose names are in the list "models".

    Raises
    ------
    OSError
        If a file is missing or cannot be read, naming it.
    ValueError
        If a part of the stream has other columns than the first, naming it, or if
        ``k`` or ``dtype`` is out of range.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {DTYPES}, got {dtype!r}.")
    labels = _label_type(router)
    names = np.asarray(router.models_ if models is None else list(models), object)
    if k is not None and not 1 <= k <= len(names):
        raise ValueError(f"k must be from 1 to {len(names)}, got {k!r}.")
    # All models of all queries of a batch may be more than memory holds.
    rows = min(batch_size, next(query_blocks(batch_size, len(names))).stop)

    def compute(queries: Any) -> dict[str, Any]:
        P = router.correctness_matrix(queries, models)
        if k is None:
            return {"probabilities": vector_column(P.astype(dtype))}
        best = top_k(P, k)
        return {
            "models": _lists(names[best], labels),
            "probabilities": vector_column(
                np.take_along_axis(P, best, axis=1).astype(dtype)
            ),
        }

    metadata = None
    if k is None:
        metadata = {"models": json.dumps(names.tolist(), default=str)}
    operation = {"operation": "score", "k": k, "dtype": dtype, "models": models}
    return _stream(
        router, batches, compute, operation, keep, rows, verbose, metadata=metadata
    )


def _stream(
    router: Any,
    batches: Any,
    compute: Callable[[Any], dict[str, Any]],
    operation: dict[str, Any],
    keep: Sequence[str] | None,
    batch_size: int,
    verbose: int,
    *,
    costs: Any = None,
    metadata: dict[str, str] | None = None,
) -> ResultStream:
    """Compute columns of every batch of queries, beside those that are kept."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size!r}.")
    pa = arrow()
    reader = router_inside(router)
    # What weighs costs may read other columns of a query than the query itself.
    bare = reader is router and not isinstance(costs, CostModel)

    def result_of(part: Part) -> Any:
        kept = _kept(part, keep, reader.query_id_col)
        try:
            computed = compute(_queries_of(part, reader.query_col, bare=bare))
        except ValueError as error:
            raise ValueError(f"Part {part.name}: {error}") from error
        fields = [part.rows.schema.field(name) for name in kept]
        for name, values in computed.items():
            last = metadata if name == "probabilities" else None
            fields.append(pa.field(name, values.type, metadata=last))
        arrays = [part.rows.column(name) for name in kept] + [*computed.values()]
        return pa.RecordBatch.from_arrays(
            arrays, schema=pa.schema([field.with_nullable(True) for field in fields])
        )

    return ResultStream(
        read_parts(batches, n_rows=batch_size),
        result_of,
        {
            **operation,
            "batch_size": batch_size,
            "router": router_identity(router),
            "input": source_identity(batches),
        },
        name=operation["operation"],
        size=lambda part: len(part.rows),
        total=count_rows(batches),
        verbose=verbose,
    )


def _queries_of(part: Part, query_col: str, *, bare: bool) -> Any:
    """Return the queries of a part in the form that routers read fastest."""
    if bare and query_col in part.rows.schema.names:
        matrix = vectors_of(part.rows, query_col, part.name)
        if matrix is not None:
            return matrix
    return arrow().Table.from_batches([part.rows])


def _kept(part: Part, keep: Sequence[str] | None, id_col: str) -> list[str]:
    names = part.rows.schema.names
    if keep is None:
        return [id_col] if id_col in names else []
    missing = [name for name in keep if name not in names]
    if missing:
        raise ValueError(f"Part {part.name}: it has no column {missing[0]!r} to keep.")
    return list(keep)


def _label_type(router: Any) -> Any:
    return arrow().array(router.models_).type


def _lists(labels: np.ndarray, kind: Any) -> Any:
    pa = arrow()
    flat = pa.array(labels.reshape(-1), type=kind)
    return pa.FixedSizeListArray.from_arrays(flat, labels.shape[1])


def _shown(options: dict[str, Any]) -> dict[str, str]:
    """Return options as texts, by which two runs are compared."""
    return {name: repr(value)[:1000] for name, value in sorted(options.items())}
