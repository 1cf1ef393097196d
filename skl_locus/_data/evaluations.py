"""The normalised form of an evaluation log that every estimator works on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._data.codes import compact
from skl_locus._data.columns import merge_labels
from skl_locus._data.queries import QuerySet

DUPLICATES = ("mean", "max", "last", "first", "raise")

KEY_BITS = 63
"""Bits of a sort key that holds a pair and a row."""


@dataclass(frozen=True)
class EvaluationSet:
    """Scored (model, query) pairs, each at most once, in canonical order.

    Rows are sorted by model label and query key, so that nothing computed from
    them depends on the order of the table they came from.

    Parameters
    ----------
    model_names : ndarray of shape (n_models,), object
        Sorted labels.
    queries : QuerySet
        Distinct queries.
    model_codes, query_codes : ndarray of shape (n,), int32
        Model and query of each evaluation.
    scores : ndarray of shape (n,), float32
        Scores in [0, 1].
    counts : ndarray of shape (n,), int32
        Number of table rows that each score is the combination of.
    times : ndarray of shape (n,), float64, or None
        When the newest of these rows was made, NaN where nobody has said.
    """

    model_names: np.ndarray
    queries: QuerySet
    model_codes: np.ndarray
    query_codes: np.ndarray
    scores: np.ndarray
    counts: np.ndarray
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.model_names)

    @cached_property
    def offsets(self) -> np.ndarray:
        """First row of each model, and the number of rows: (n_models + 1,)."""
        return np.searchsorted(self.model_codes, np.arange(self.n_models + 1))

    @property
    def sizes(self) -> np.ndarray:
        """Number of evaluations of each model: (n_models,)."""
        return np.diff(self.offsets)

    def model_means(self) -> np.ndarray:
        """Mean score of each model, summed in float64: (n_models,)."""
        sums = np.add.reduceat(self.scores.astype(np.float64), self.offsets[:-1])
        return sums / self.sizes

    def described(self) -> str:
        """Say how large it is."""
        return (
            f"{self.n_models} models, {len(self.queries)} queries, "
            f"{len(self)} evaluations"
        )

    def index_of(self, models: Iterable) -> np.ndarray:
        """Return the positions of labels among the models: (n_labels,)."""
        positions = positions_of(list(models), self.model_names)
        assert (positions >= 0).all()  # whoever asks has checked the labels
        return positions

    def only_models(self, names: Collection) -> EvaluationSet:
        """Keep the evaluations of the named models, and the queries they use."""
        return self.of_models(self.index_of(names))

    def of_models(self, codes: Sequence[int] | np.ndarray) -> EvaluationSet:
        """Keep the evaluations of the models at some positions, as `only_models`."""
        return self.take(self.rows_of(np.unique(codes)))

    def rows_of(self, codes: np.ndarray) -> np.ndarray:
        """Return the rows of models, one model after another, without a search."""
        starts, sizes = self.offsets[codes], self.sizes[codes]
        # Rows of a model follow one another: each counts on from the first of its own.
        before = np.cumsum(sizes) - sizes
        return np.repeat(starts - before, sizes) + np.arange(sizes.sum())

    def take(self, rows: np.ndarray) -> EvaluationSet:
        """Keep the given rows, which must be ascending, with what they use."""
        models, model_codes = compact(self.model_codes[rows], self.n_models)
        queries, query_codes = compact(self.query_codes[rows], len(self.queries))
        return EvaluationSet(
            model_names=self.model_names[models],
            queries=self.queries.take(queries),
            model_codes=model_codes,
            query_codes=query_codes,
            scores=self.scores[rows],
            counts=self.counts[rows],
            times=None if self.times is None else self.times[rows],
        )

    def blocks_of_models(self, n_rows: int) -> Iterator[EvaluationSet]:
        """Yield sets of whole models with at most ``n_rows`` rows, or of one model."""
        first = 0
        while first < self.n_models:
            end = self.offsets[first] + n_rows
            last = int(np.searchsorted(self.offsets, end, side="right")) - 1
            last = max(last, first + 1)
            if first == 0 and last == self.n_models:
                yield self
                return
            yield self.of_models(np.arange(first, last))
            first = last

    def with_encodings(self, encodings: np.ndarray) -> EvaluationSet:
        """Replace the encodings, row by row."""
        return replace(self, queries=replace(self.queries, encodings=encodings))

    def union(self, other: EvaluationSet, duplicates: str) -> EvaluationSet:
        """Merge the evaluations of two sets; ``other`` is the later one."""
        queries, own, others = self.queries.union(other.queries)
        names = [*self.model_names, *other.model_names]
        codes, labels = merge_labels(label_array(names))
        own_models, other_models = np.split(codes, [self.n_models])
        return combine_rows(
            labels,
            queries,
            np.concatenate(
                [own_models[self.model_codes], other_models[other.model_codes]]
            ),
            np.concatenate([own[self.query_codes], others[other.query_codes]]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.counts, other.counts]),
            duplicates,
            _joined_times(self, other),
        )


EVALUATION_FIELDS = frozenset(field.name for field in fields(EvaluationSet))


@dataclass(frozen=True)
class NoEvaluations:
    """Stands for evaluations that were left out when their router was saved."""

    def __getattr__(self, name: str) -> Any:
        """Raise for whatever an `EvaluationSet` has, saying why it is not here."""
        if not hasattr(EvaluationSet, name) and name not in EVALUATION_FIELDS:
            raise AttributeError(name)
        raise ValueError(
            "This router was saved without its evaluations (evaluations=False): it "
            "predicts and routes, but its models cannot be added, refined, removed or "
            "compared with what they were fitted on. Save it with its evaluations for "
            "that."
        )


def label_array(labels: Sequence | np.ndarray) -> np.ndarray:
    """Return labels as an object array, whatever they are."""
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def positions_of(labels: Sequence, known: Sequence | np.ndarray) -> np.ndarray:
    """Return where labels stand among known ones, -1 where they do not: (n_labels,)."""
    index = pd.Index(label_array(known), dtype=object)
    return index.get_indexer(label_array(labels))


def combine_rows(
    labels: Sequence,
    queries: QuerySet,
    model_codes: np.ndarray,
    query_codes: np.ndarray,
    scores: np.ndarray,
    counts: np.ndarray,
    duplicates: str,
    times: np.ndarray | None = None,
) -> EvaluationSet:
    """Sort rows into canonical order and combine repeated (model, query) pairs.

    Parameters
    ----------
    labels : sequence of length n_models
        Sorted model labels.
    queries : QuerySet
        Distinct queries.
    model_codes, query_codes : ndarray of shape (n_rows,)
        Model and query of each row.
    scores : ndarray of shape (n_rows,), float32
        Scores in [0, 1].
    counts : ndarray of shape (n_rows,)
        Number of evaluations behind each row.
    duplicates : {"mean", "max", "last", "first", "raise"}
        What to do with several rows of one pair.
    times : ndarray of shape (n_rows,) or None
        When each row was made; the time of a pair is that of its newest row.

    Returns
    -------
    EvaluationSet
        Each pair once.
    """
    order, is_first = _sort_pairs(model_codes, query_codes, len(queries))
    if times is not None:
        # Before repeated rows are ordered by score.
        times = np.fmax.reduceat(times[order], np.flatnonzero(is_first))
    rows, combined, totals = order, scores[order], counts[order]
    if not is_first.all():
        if duplicates == "raise":
            raise ValueError(_repeated_message(labels, model_codes, order, is_first))
        rows, combined, totals = _combine_repeated(
            order, is_first, scores, counts, duplicates
        )
    return EvaluationSet(
        model_names=label_array(labels),
        queries=queries,
        model_codes=model_codes[rows].astype(np.int32, copy=False),
        query_codes=query_codes[rows].astype(np.int32, copy=False),
        scores=combined.astype(np.float32, copy=False),
        counts=totals.astype(np.int32, copy=False),
        times=times,
    )


def _joined_times(one: EvaluationSet, other: EvaluationSet) -> np.ndarray | None:
    """Return the times of two sets, NaN for a set without; None if neither has any."""
    if one.times is None and other.times is None:
        return None
    parts = (
        np.full(len(part), np.nan) if part.times is None else part.times
        for part in (one, other)
    )
    return np.concatenate([*parts])


def _sort_pairs(
    model_codes: np.ndarray, query_codes: np.ndarray, n_queries: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by model and query, those of one pair as they come.

    Returns the order of the rows, and which of the sorted ones begin a pair.
    """
    pairs = model_codes.astype(np.int64)
    pairs *= n_queries
    pairs += query_codes
    row_bits = len(pairs).bit_length()
    if int(pairs.max(initial=0)).bit_length() + row_bits > KEY_BITS:
        order = np.argsort(pairs, kind="stable")
        return order, _changes(pairs[order])
    # Numbers that hold pair and row are sorted in place, several times faster than
    # rows are sorted by pair, and with less memory.
    pairs <<= row_bits
    pairs |= np.arange(len(pairs))
    pairs.sort()
    is_first = _changes(pairs >> row_bits)
    pairs &= (1 << row_bits) - 1
    return pairs, is_first


def _changes(values: np.ndarray) -> np.ndarray:
    """Mark each value that differs from the one before: (n_values,), bool."""
    changed = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed


def _combine_repeated(
    order: np.ndarray,
    is_first: np.ndarray,
    scores: np.ndarray,
    counts: np.ndarray,
    duplicates: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Combine the rows of each pair: (one row of it, score, count)."""
    # Ties are ordered by score where the order of the table must not matter, and
    # left as they come where it is what the caller asks for.
    if duplicates not in ("first", "last"):
        order = _sort_repeated(order, is_first, scores, counts)
    starts = np.flatnonzero(is_first)
    totals = np.add.reduceat(counts[order], starts)
    if duplicates == "mean":
        weighted = scores[order].astype(np.float64)
        weighted *= counts[order]
        return order[starts], np.add.reduceat(weighted, starts) / totals, totals
    # Ascending scores (or table order) put the maximum (the last) at the end.
    ends = np.append(starts[1:], len(order)) - 1
    return (
        order[starts],
        scores[order[starts if duplicates == "first" else ends]],
        totals,
    )


def _sort_repeated(
    order: np.ndarray, is_first: np.ndarray, scores: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Sort the rows of each pair by score and count."""
    repeated = ~(is_first & np.append(is_first[1:], True))
    rows, pairs = order[repeated], np.cumsum(is_first)[repeated]
    order[repeated] = rows[np.lexsort((counts[rows], scores[rows], pairs))]
    return order


def _repeated_message(
    labels: Sequence, model_codes: np.ndarray, order: np.ndarray, is_first: np.ndarray
) -> str:
    second_place = int(np.argmin(is_first))
    first, second = (int(row) for row in order[second_place - 1 : second_place + 1])
    return (
        f"Model {labels[model_codes[first]]!r} has two rows for one query (rows "
        f"{first} and {second}) and duplicates='raise'; drop one or choose how to "
        "combine them."
    )
