"""Embeddings of the models of a log that comes in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.schema import Columns
from skl_locus._data.stored_logs import (
    BLOCK_ROWS,
    BlockReader,
    EvaluationLog,
    whole_models,
)
from skl_locus._data.streams import (
    Part,
    arrow,
    count_rows,
    read_parts,
    source_identity,
    vector_column,
)
from skl_locus.batches._results import ResultStream


def embed_batches(
    embedder: Any,
    batches: Any,
    *,
    queries: Any = None,
    block_size: int = BLOCK_ROWS,
    verbose: int = 0,
) -> ResultStream:
    """Embed the models of a log that is sorted or divided by model.

    Parameters
    ----------
    embedder : LocusEmbedder or LocusRouter
        Fitted.
    batches : path, pyarrow Dataset, EvaluationLog, or iterable of dataframes or batches
        Evaluations with the score column. The rows of a model follow one another; they
        may continue in the next batch or file.
    queries : dataframe, default=None
        Queries by id, as in `EvaluationLog`; None if they are in the log.
    block_size : int, default=65536
        Evaluations from which on models are embedded. A model with more of them is
        held in memory as a whole.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    ResultStream
        A generator of pyarrow record batches, one row per model, with the columns
        "model", "embedding" (a list of length n_components), "specific_variance" and
        "n_evaluations".

    Raises
    ------
    OSError
        If a file is missing or cannot be read, naming it.
    ValueError
        If a model comes again after others, a query id is unknown, or the columns
        change, naming the part.

    Notes
    -----
    Embeddings are those of `~skl_locus.LocusEmbedder.transform` up to rounding.

    Examples
    --------
    >>> from skl_locus import LocusEmbedder
    >>> from skl_locus.batches import embed_batches
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> embedder = LocusEmbedder(n_components=16, max_iter=20, random_state=0).fit(log)
    >>> halves = log.iloc[:100], log.iloc[100:]
    >>> [batch.num_rows for batch in embed_batches(embedder, halves, block_size=100)]
    [1, 4, 1]
    """
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size!r}.")
    check_is_fitted(embedder)
    pa = arrow()
    if isinstance(batches, EvaluationLog):
        queries = batches.queries if queries is None else queries
        batches = batches.evaluations
    reader = BlockReader(embedder, queries)
    columns = reader.columns

    def result_of(block: Part) -> Any:
        evaluations = reader.read(block)
        embeddings, variances = embedder._embed_with_variances(evaluations)
        return pa.RecordBatch.from_pydict(
            {
                "model": pa.array(evaluations.model_names.tolist()),
                "embedding": vector_column(embeddings.astype(np.float32, copy=False)),
                "specific_variance": pa.array(variances),
                "n_evaluations": pa.array(evaluations.sizes),
            }
        )

    return ResultStream(
        _blocks(batches, columns, queries is not None, block_size),
        result_of,
        {
            "operation": "embed",
            "block_size": block_size,
            "embedder": _digest_of_state(embedder),
            "input": source_identity(batches),
        },
        name="embed",
        size=lambda block: len(block.rows),
        total=count_rows(batches),
        verbose=verbose,
    )


def _blocks(
    batches: Any, columns: Columns, has_ids: bool, block_size: int
) -> Iterator[Part]:
    wanted = [columns.model, columns.query_id, columns.score] if has_ids else None
    return whole_models(read_parts(batches, wanted), columns.model, block_size)


def _digest_of_state(embedder: Any) -> str:
    """Return a digest of what an embedder has learned."""
    digest = hashlib.blake2b(digest_size=16)
    state = embedder._network
    for name in sorted(state.weights):
        digest.update(np.ascontiguousarray(state.weights[name]).tobytes())
    if embedder._space is not None:
        digest.update(np.ascontiguousarray(embedder._space.basis).tobytes())
    return digest.hexdigest()
