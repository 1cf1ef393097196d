"""Vectors of the texts of a stream of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skl_locus._data.query_encoder import QueryEncoder, as_query_encoder
from skl_locus._data.sentence_models import is_sentence_model
from skl_locus._data.streams import (
    Part,
    arrow,
    count_rows,
    read_parts,
    source_identity,
    vector_column,
)
from skl_locus.batches._identity import router_inside
from skl_locus.batches._results import ResultStream

ENCODED_ROWS = 2_048
"""Texts that are encoded at a time: seconds of work, so that little is lost."""


def encode_batches(
    encoder: Any,
    batches: Any,
    *,
    query_col: str = "query",
    query_id_col: str = "query_id",
    keep: Sequence[str] | None = None,
    batch_size: int = ENCODED_ROWS,
    verbose: int = 0,
) -> ResultStream:
    """Encode the texts of a stream once, to vectors beside their ids.

    Parameters
    ----------
    encoder : QueryEncoder, fitted router with an encoder, str or SentenceTransformer
        What encodes. A scikit-learn text transformer has to be fitted first, in a
        `~skl_locus.QueryEncoder`.
    batches : path, pyarrow Dataset, dataframe, or iterable of dataframes or batches
        Texts.
    query_col, query_id_col : str, default="query", "query_id"
        Columns of the texts and of their ids.
    keep : sequence of str, default=None
        Columns that are copied to the result; None for the column of ids. Without one
        the text itself is copied there, since the vector alone would not tell which
        text it is of.
    batch_size : int, default=2048
        Number of texts that are encoded at a time, each distinct one once.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    ResultStream
        A generator of pyarrow record batches with the kept columns and ``query_col``,
        which holds vectors: routers read them in the place of the texts.

    Raises
    ------
    OSError
        If a file is missing or cannot be read, naming it.
    ValueError
        If a part of the stream has other columns than the first, naming it.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size!r}.")
    pa = arrow()
    fitted = _fitted_encoder(encoder)

    def result_of(part: Part) -> Any:
        names = part.rows.schema.names
        if query_col not in names:
            raise ValueError(f"Part {part.name}: it has no column {query_col!r}.")
        texts = part.rows.column(query_col)
        try:
            vectors = np.asarray(fitted.transform(texts.to_pylist()), np.float32)
        except ValueError as error:
            raise ValueError(f"Part {part.name}: {error}") from error
        columns = {}
        if keep is None:
            has_ids = query_id_col in names
            columns[query_id_col] = part.rows.column(query_id_col) if has_ids else texts
        for name in keep or ():
            columns[name] = part.rows.column(name)
        columns[query_col] = vector_column(vectors)
        return pa.RecordBatch.from_pydict(columns)

    return ResultStream(
        read_parts(batches, n_rows=batch_size),
        result_of,
        {
            "operation": "encode",
            "batch_size": batch_size,
            "probe": _probe(fitted),
            "input": source_identity(batches),
        },
        name="encode",
        size=lambda part: len(part.rows),
        total=count_rows(batches),
        verbose=verbose,
    )


def _fitted_encoder(encoder: Any) -> QueryEncoder:
    """Return a fitted encoder of texts."""
    if hasattr(encoder, "models_") or hasattr(encoder, "router"):
        encoder = router_inside(encoder).query_encoder_
        if encoder is None:
            raise ValueError(
                "The router was fitted on encoded queries and has no encoder; pass the "
                "encoder that made them."
            )
    if isinstance(encoder, QueryEncoder) and hasattr(encoder, "n_features_out_"):
        return encoder
    wrapped = as_query_encoder(encoder)
    if not is_sentence_model(wrapped.encoder):
        raise ValueError(
            "The text transformer is not fitted; pass QueryEncoder(transformer)"
            ".fit(texts)."
        )
    # A sentence model knows all that it needs; it is fitted on no text in particular.
    return wrapped.fit([PROBE])


def _probe(encoder: QueryEncoder) -> list[float]:
    """Return some numbers by which two runs compare their encoders."""
    # Images and sound have no probe that every encoder of them reads: the first query
    # of the fit stands in for it.
    known = encoder._known.encodings[:1] if encoder._reads_media else None
    vectors = encoder.transform([PROBE]) if known is None else known
    if not len(vectors):
        return []  # saved without the queries of its fit
    vector = np.asarray(vectors, dtype=float)[0]
    return np.round(vector[:N_COMPARED], DECIMALS).tolist()


PROBE = "Which of these encoders is it?"
"""Text by whose vector encoders are compared."""

N_COMPARED = 8
"""Numbers of the vector that are compared."""

DECIMALS = 5
"""Decimals that are written; they are compared with a tolerance."""
