"""Logs of evaluations that are larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.columns import as_frame, factorize_labels, read_column
from skl_locus._data.evaluations import EvaluationSet, combine_rows
from skl_locus._data.forgetting import read_times
from skl_locus._data.log_samples import (
    BoundedSample,
    hash_labels,
    hash_vectors,
)
from skl_locus._data.queries import QuerySet, label_text
from skl_locus._data.reader import ANONYMOUS
from skl_locus._data.schema import Columns
from skl_locus._data.scores import read_scores
from skl_locus._data.streams import (
    Part,
    arrow,
    is_stored,
    is_stream,
    is_table,
    read_parts,
    to_batch,
    vectors_of,
)
from skl_locus._utils.validation import check_at_least

BLOCK_ROWS = 65_536
"""Evaluations that are embedded at a time: 100 MB of vectors with 384 numbers."""

PASS_BYTES = 256 * 2**20
"""Bytes of rows that one pass over a log collects that is not sorted by model."""


class EvaluationLog:
    """A log of evaluations in parts, such as files on the disk.

    `~skl_locus.LocusRouter.fit` and `~skl_locus.LocusEmbedder.fit` train on a sample of
    each model's evaluations, and embed the models by all of them. The sample is those
    with the smallest hashes of model, query and seed, and does not depend on the order
    of the log.

    ``add_models`` of a router and `~skl_locus.LocusEmbedder.transform` read such a log
    some models at a time.

    Parameters
    ----------
    evaluations : path, pyarrow Dataset, or iterable of dataframes or record batches
        Parquet file, folder of such files, or dataset, with the columns of a log.
        `fit` reads a log several times, so that it takes no iterable; elsewhere, the
        rows of a model in an iterable follow one another.
    queries : dataframe or pyarrow Table, default=None
        Queries by id: the column of query ids and that of texts or vectors. None if
        they are in the log. A log that has ids in their place is smaller by a factor of
        hundreds, and is read as much faster.
    max_evaluations_per_model : int, default=1024
        Evaluations of a model, at most, in the sample, or that ``add_models`` keeps.
    random_state : int, default=0
        Seed of the sample.

    Examples
    --------
    >>> import tempfile
    >>> from skl_locus import LocusEmbedder
    >>> from skl_locus.batches import EvaluationLog
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> folder = tempfile.TemporaryDirectory()
    >>> log.to_parquet(f"{folder.name}/log.parquet")
    >>> stored = EvaluationLog(folder.name, max_evaluations_per_model=40)
    >>> embedder = LocusEmbedder(n_components=16, max_iter=20, random_state=0)
    >>> embedder.fit(stored).transform(log).shape
    (6, 16)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        evaluations: Any,
        queries: Any = None,
        *,
        max_evaluations_per_model: int = 1024,
        random_state: int = 0,
    ) -> None:
        check_at_least(max_evaluations_per_model, "max_evaluations_per_model")
        if is_table(evaluations) or not (
            is_stored(evaluations) or isinstance(evaluations, Iterable)
        ):
            raise TypeError(
                f"evaluations is a {type(evaluations).__name__}; pass a path, a "
                "pyarrow Dataset or an iterable of dataframes. A table in memory is "
                "passed to fit as it is."
            )
        self.evaluations = evaluations
        self.queries = queries
        self.max_evaluations_per_model = max_evaluations_per_model
        self.random_state = random_state

    @classmethod
    def of(cls, X: Any) -> EvaluationLog | None:
        """Return what `fit` was given as a log on the disk; None if it is none."""
        if isinstance(X, cls):
            return X
        return cls(X) if is_stored(X) else None

    @classmethod
    def of_stream(cls, X: Any) -> EvaluationLog | None:
        """Return what comes in parts as a log; None if ``X`` is a table."""
        if isinstance(X, cls):
            return X
        return cls(X) if is_stream(X) else None

    def sample(self, columns: Columns) -> LogSample:
        """Read the log once and return a bounded sample."""
        if not is_stored(self.evaluations):
            raise TypeError(
                "fit reads a log several times, and this one is a "
                f"{type(self.evaluations).__name__}; pass a path or a pyarrow Dataset."
            )
        sampler = BoundedSample(self.max_evaluations_per_model, self.random_state)
        runs, n_bytes, n_rows = _ModelRuns(), 0, 0
        for part in self._parts(columns):
            frame = _frame_of(part)
            codes, labels = _models_of(frame, columns, part.name)
            runs.add(codes, labels)
            _scores_of(frame, columns, part.name)
            queries = _query_hashes(part, frame, columns)
            sampler.add(labels, codes, queries, frame.to_native())
            n_bytes, n_rows = n_bytes + part.rows.nbytes, n_rows + len(part.rows)
        if not n_rows:
            raise ValueError("The log is empty (0 rows); pass at least one row.")
        table = sampler.rows()
        scores = read_scores(table.column(columns.score).to_numpy(), len(table))
        if self.queries is not None:
            table = _joined(table, self.queries, columns)
        return LogSample(table, scores, not sampler.n_dropped, runs.grouped, n_bytes)

    def whole_models(
        self, columns: Columns, sample: LogSample | None = None
    ) -> Iterator[Part]:
        """Yield all rows of some models at a time.

        Parameters
        ----------
        columns : Columns
            Names of the columns.
        sample : LogSample, default=None
            Of the same log. With it, a log that is not sorted by model is read several
            times; without it, that is an error.
        """
        if sample is None or sample.grouped:
            yield from whole_models(self._parts(columns), columns.model)
            return
        n_passes = -(-sample.n_bytes // PASS_BYTES)
        for number in range(n_passes):
            yield from self._models_of_pass(columns, number, n_passes)

    def blocks(self, columns: Columns, also: Sequence[str] = ()) -> Iterator[Part]:
        """Yield all rows of some models at a time, without a sample.

        Parameters
        ----------
        columns : Columns
            Names of the columns.
        also : sequence of str, default=()
            Other columns to read.
        """
        n_passes = self._n_passes(columns, also)
        if n_passes is None:
            yield from whole_models(self._parts(columns, also), columns.model)
            return
        for number in range(n_passes):
            yield from self._models_of_pass(columns, number, n_passes, also)

    def _n_passes(self, columns: Columns, also: Sequence[str]) -> int | None:
        """Return how often the log has to be read; None if models are together."""
        if not is_stored(self.evaluations):
            return None
        runs, n_rows = _ModelRuns(), 0
        # The column of models alone is a small part of a log that holds vectors.
        for part in read_parts(self.evaluations, [columns.model]):
            runs.add(*_models_of(_frame_of(part), columns, part.name))
            n_rows += len(part.rows)
        if runs.grouped:
            return None
        first = next(self._parts(columns, also)).rows
        return -(-n_rows * first.nbytes // (len(first) * PASS_BYTES))

    def _models_of_pass(
        self,
        columns: Columns,
        number: int,
        n_passes: int,
        also: Sequence[str] = (),
    ) -> Iterator[Part]:
        chosen = []
        for part in self._parts(columns, also):
            table = arrow().Table.from_batches([part.rows])
            frame = as_frame(table)
            assert frame is not None
            codes, labels = _models_of(frame, columns, part.name)
            turns = hash_labels(labels) % np.uint64(n_passes)
            mine = (turns == number)[codes]
            if mine.any():
                chosen.append(table.filter(arrow().array(mine)))
        if chosen:
            yield Part(f"models {number} of {n_passes}", arrow().concat_tables(chosen))

    def _parts(self, columns: Columns, also: Sequence[str] = ()) -> Iterator[Part]:
        wanted = None
        if self.queries is not None:
            wanted = [columns.model, columns.query_id, columns.score, *also]
        return read_parts(self.evaluations, wanted)


@dataclass(frozen=True)
class LogSample:
    """A bounded sample of a log, and what was seen of all of it.

    Parameters
    ----------
    table : pyarrow Table or DataFrame
        Rows of the sample, as `fit` takes them.
    scores : ndarray of shape (n_rows,)
        Their scores.
    complete : bool
        Whether it is the whole log.
    grouped : bool
        Whether the rows of each model follow one another in the log.
    n_bytes : int
        Size of the log in memory.
    """

    table: Any
    scores: np.ndarray
    complete: bool
    grouped: bool
    n_bytes: int


def columns_of_stored(estimator: Any, y: Any) -> Columns:
    """Return the names of the columns of a log on the disk.

    Parameters
    ----------
    estimator : LocusEmbedder or LocusRouter
        Whose parameters name the columns.
    y : str or None
        Column of the scores; None for ``score_col``.
    """
    columns = Columns.of(estimator)
    if y is None:
        return columns
    if not isinstance(y, str):
        raise TypeError(
            "The scores of a log on the disk are one of its columns: pass its name as "
            f"y, or None for score_col={columns.score!r}; got a {type(y).__name__}."
        )
    return replace(columns, score=y)


class BlockReader:
    """Reads tables of whole models into evaluations, for one fitted estimator.

    Parameters
    ----------
    estimator : LocusEmbedder or LocusRouter
        Fitted.
    queries : dataframe or None
        Queries by id, which are read and encoded once; None if they are in the log.
    columns : Columns, default=None
        Names of the columns, by default those of the estimator.
    time_col : str, default=None
        Column of the times of the evaluations.
    """

    def __init__(
        self,
        estimator: Any,
        queries: Any = None,
        columns: Columns | None = None,
        time_col: str | None = None,
    ) -> None:
        self.columns = Columns.of(estimator) if columns is None else columns
        self._estimator = estimator
        self._time_col = time_col
        self._known: _KnownQueries | None = None
        if queries is not None:
            self._known = _KnownQueries.of(estimator, queries, self.columns)

    def read(self, block: Part) -> EvaluationSet:
        """Return the evaluations of a block."""
        block, times = self._without_times(block)
        frame = as_frame(block.rows)
        assert frame is not None
        scores = _scores_of(frame, self.columns, block.name)
        if self._known is None:
            try:
                rows = self._estimator._read_rows(block.rows, reset=False)
            except ValueError as error:
                raise ValueError(f"Part {block.name}: {error}") from error
            return self._estimator._evaluations_of(rows, scores, times)
        codes, labels = _models_of(frame, self.columns, block.name)
        return combine_rows(
            labels,
            self._known.queries,
            codes,
            self._known.codes_of(frame, self.columns, block.name),
            scores,
            np.ones(len(scores), dtype=np.int32),
            self._estimator.duplicates,
            times,
        )

    def _without_times(self, block: Part) -> tuple[Part, np.ndarray | None]:
        if self._time_col is None:
            return block, None
        try:
            rows, times = read_times(block.rows, self._time_col)
        except ValueError as error:
            raise ValueError(f"Part {block.name}: {error}") from error
        return Part(block.name, rows), times


@dataclass(frozen=True)
class _KnownQueries:
    """Encoded queries by id.

    Parameters
    ----------
    queries : QuerySet
        Distinct queries.
    ids : Index
        Ids as texts.
    codes : ndarray of shape (n_ids,)
        Position of the query of each id.
    """

    queries: QuerySet
    ids: pd.Index
    codes: np.ndarray

    @classmethod
    def of(cls, estimator: Any, queries: Any, columns: Columns) -> _KnownQueries:
        """Read and encode a table of queries."""
        frame = _queries_frame(queries, columns)
        table = {columns.model: ANONYMOUS, **frame}
        rows = estimator._read_rows(pd.DataFrame(table), reset=False)
        return cls(rows.queries, _id_index(frame, columns), rows.query_codes)

    def codes_of(self, frame: Any, columns: Columns, part: str) -> np.ndarray:
        """Return the queries of the rows of a log."""
        return self.codes[_places(self.ids, frame, columns, part)]


class _ModelRuns:
    """Whether the rows of each model follow one another."""

    def __init__(self) -> None:
        self.grouped = True
        self._seen: set = set()
        self._current: Any = None

    def add(self, codes: np.ndarray, labels: list) -> Any:
        """Take the next rows; return the first model that comes a second time."""
        changes = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        for code in codes[changes]:
            label = labels[code]
            if label == self._current:
                continue
            if label in self._seen:
                self.grouped = False
                return label
            self._seen.add(label)
            self._current = label
        return None


def whole_models(
    parts: Iterator[Part], model_col: str, n_rows: int = BLOCK_ROWS
) -> Iterator[Part]:
    """Divide a log that is sorted by model into blocks of whole models.

    Parameters
    ----------
    parts : iterator of Part
        The log. A model may continue in the next part.
    model_col : str
        Column of the models.
    n_rows : int, default=65536
        Rows from which on a block ends with the model that it has begun.

    Yields
    ------
    Part
        Rows of a block as a pyarrow Table.

    Raises
    ------
    ValueError
        If a model comes again after another one, naming the part.
    """
    runs, pending, n_pending, names = _ModelRuns(), [], 0, []
    columns = Columns(model=model_col)
    for part in parts:
        table = arrow().Table.from_batches([part.rows])
        frame = as_frame(table)
        assert frame is not None
        codes, labels = _models_of(frame, columns, part.name)
        again = runs.add(codes, labels)
        if not runs.grouped:
            raise ValueError(
                f"Part {part.name}: the model {again!r} comes again after others; sort "
                "the log by model, or divide it so that each file has whole models."
            )
        pending.append(table)
        names.append(part.name)
        n_pending += len(table)
        if n_pending < n_rows:
            continue
        # The last model may continue in the next part, and waits for it.
        n_last = _length_of_last(pending, model_col)
        if n_last < n_pending:
            joined = arrow().concat_tables(pending)
            yield Part(_span(names), joined.slice(0, n_pending - n_last))
            rest = joined.slice(n_pending - n_last)
            # A slice would keep all of the block in memory.
            pending = [rest.take(np.arange(n_last))]
            n_pending, names = n_last, names[-1:]
    if n_pending:
        yield Part(_span(names), arrow().concat_tables(pending))


def _length_of_last(tables: list, model_col: str) -> int:
    """Count the rows of the last model of tables that are sorted by model."""
    last = tables[-1].column(model_col)[-1]
    length = 0
    for table in reversed(tables):
        equal = arrow().compute.equal(table.column(model_col), last)
        others = np.flatnonzero(~equal.to_numpy())
        if len(others):
            return length + len(table) - 1 - int(others[-1])
        length += len(table)
    return length


def _span(names: list[str]) -> str:
    return names[0] if names[0] == names[-1] else f"{names[0]} to {names[-1]}"


def _frame_of(part: Part) -> Any:
    return as_frame(arrow().Table.from_batches([part.rows]))


def _models_of(frame: Any, columns: Columns, part: str) -> tuple[np.ndarray, list]:
    try:
        return factorize_labels(read_column(frame, columns.model), columns.model)
    except ValueError as error:
        raise ValueError(f"Part {part}: {error}") from error


def _scores_of(frame: Any, columns: Columns, part: str) -> np.ndarray:
    try:
        column = read_column(frame, columns.score)
        return read_scores(column, len(frame), repr(columns.score))
    except ValueError as error:
        raise ValueError(f"Part {part}: {error}") from error


def _query_hashes(part: Part, frame: Any, columns: Columns) -> np.ndarray:
    """Hash the identity of each row's query: its id, or else the query itself."""
    names = frame.columns
    try:
        if columns.query_id in names:
            return _hash_cells(part.rows.column(columns.query_id))
        if columns.query not in names:
            return hash_vectors(columns.encoding_matrix(frame))
        matrix = vectors_of(part.rows, columns.query, part.name)
        if matrix is not None:
            return hash_vectors(matrix)
        return _hash_cells(part.rows.column(columns.query))
    except ValueError as error:
        raise ValueError(f"Part {part.name}: {error}") from error


def _hash_cells(cells: Any) -> np.ndarray:
    distinct = cells if hasattr(cells, "dictionary") else cells.dictionary_encode()
    if cells.null_count:
        raise ValueError("it has a missing query or query id.")
    hashes = hash_labels(distinct.dictionary.to_pylist())
    return hashes[distinct.indices.to_numpy(zero_copy_only=False)]


def _queries_frame(queries: Any, columns: Columns) -> dict[str, Any]:
    """Return the ids and the queries of a table, each a column of cells."""
    frame = as_frame(queries)
    missing = [
        name
        for name in (columns.query_id, columns.query)
        if frame is None or name not in frame.columns
    ]
    if missing:
        raise ValueError(
            f"queries has no column {missing[0]!r}; it needs the ids and the queries "
            "themselves, as texts or vectors."
        )
    batch = to_batch(queries)
    matrix = vectors_of(batch, columns.query, "queries")
    ids = batch.column(columns.query_id).to_pylist()
    if matrix is None:
        return {columns.query_id: ids, columns.query: batch.column(columns.query)}
    cells = np.empty(len(matrix), dtype=object)
    cells[:] = list(matrix)
    return {columns.query_id: ids, columns.query: cells}


def _id_index(frame: dict[str, Any], columns: Columns) -> pd.Index:
    ids = pd.Index([*map(label_text, frame[columns.query_id])], dtype=object)
    if not ids.is_unique:
        again = ids[ids.duplicated()][0]
        raise ValueError(f"queries has the id {again!r} twice.")
    return ids


def _places(ids: pd.Index, frame: Any, columns: Columns, part: str) -> np.ndarray:
    """Return where the ids of a log stand among known ones."""
    codes, labels = factorize_labels(
        read_column(frame, columns.query_id), columns.query_id
    )
    places = ids.get_indexer([*map(label_text, labels)])
    if (places < 0).any():
        unknown = labels[int(np.argmin(places))]
        raise ValueError(f"Part {part}: queries has no id {unknown!r}.")
    return places[codes]


def _joined(table: Any, queries: Any, columns: Columns) -> pd.DataFrame:
    """Join rows of a log with their queries."""
    known = _queries_frame(queries, columns)
    frame = as_frame(table)
    places = _places(_id_index(known, columns), frame, columns, "sample")
    cells = known[columns.query]
    if not isinstance(cells, np.ndarray):
        cells = np.array(cells.to_pylist(), dtype=object)
    assert frame is not None
    return pd.DataFrame(
        {
            columns.model: read_column(frame, columns.model),
            columns.query_id: read_column(frame, columns.query_id),
            columns.query: cells[places],
            columns.score: table.column(columns.score).to_numpy(),
        }
    )
