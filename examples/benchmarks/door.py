"""Read a log of 112 models x 35,000 queries of text in the forms that tables have.

Measured is `fit` of the simplest router, which normalises the table and takes means.
The encoder looks vectors up, and its time is told apart. Memory is what the process
needs beyond the table; it is given as a multiple of the size of the normalised data.
"""

import ctypes
import gc
import time
from dataclasses import fields
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from measuring import MEBI, alternate, parse_options, peak_memory, report, sized
from sklearn.base import BaseEstimator, TransformerMixin

from skl_locus import BestSingleRouter

N_FEATURES = 768
FILLER = 100_000
LENGTHS = 100, 500
"""Letters of a query."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    seconds, encoding, sizes = {}, {}, {}
    for form in FORMS:
        case = Case(form, options)
        seconds |= alternate({form: case}, options.repeats)
        encoding[form] = case.encoder.seconds / (options.repeats + 1)
        sizes[form] = normalised_size(case.router)
    peaks = {form: peak_memory(Cases, form, options) for form in FORMS}
    n_models, n_queries = size(options)
    report(
        options,
        "door",
        f"read {n_models} models x {n_queries} queries",
        seconds,
        peaks=peaks,
        target="under 10 s and 2.5 times the normalised data, encoder excluded",
        encoder_seconds=encoding,
        normalised_mib=max(sizes.values()),
        times_normalised={form: peaks[form] / sizes[form] for form in FORMS},
    )


def size(options):
    return sized(options, (112, 35_000), (112, 5_000), (4, 50))


class Cases:
    """The works by form; only the table that is asked for is made."""

    def __init__(self, options):
        self.options = options

    def __getitem__(self, form):
        return Case(form, self.options)


class Case:
    """A table in one form; called, it is read."""

    def __init__(self, form, options):
        make, with_id = FORMS[form]
        n_models, n_queries = size(options)
        self.encoder = Lookup(n_queries)
        self.table, self.y = make_table(make, with_id, n_models, n_queries)
        self.router = None
        settle()

    def __call__(self):
        """Read the table."""
        self.router = BestSingleRouter(encoder=self.encoder).fit(self.table, self.y)


class Lookup(TransformerMixin, BaseEstimator):
    """Texts that begin with their number to vectors, with a clock."""

    def __init__(self, n_queries):
        self.n_queries = n_queries
        self.vectors = encodings(n_queries)
        self.seconds = 0.0

    def __sklearn_clone__(self):
        return self

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def transform(self, X):
        """Look the vectors of texts up."""
        start = time.perf_counter()
        vectors = self.vectors[[int(text[:8]) for text in X]]
        self.seconds += time.perf_counter() - start
        return vectors


def settle():
    """Give back what making a table has freed, lest reading it use that again."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


@cache
def encodings(n_queries):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n_queries, N_FEATURES), dtype=np.float32)


def make_table(make, with_id, n_models, n_queries):
    """Make a table of rows in random order, and random scores."""
    rng = np.random.default_rng(0)
    order = rng.permutation(n_models * n_queries).astype(np.int32)
    columns = {
        "model": (order // n_queries, [f"model-{i:03d}" for i in range(n_models)]),
        "query": (order % n_queries, texts(n_queries, rng)),
    }
    if with_id:
        columns["query_id"] = (order % n_queries, list(range(n_queries)))
    y = rng.random(len(order)) < 0.6
    return make(columns), y.astype(np.float64)


def texts(n_queries, rng):
    filler = "".join(map(chr, rng.integers(97, 123, FILLER)))
    lengths = rng.integers(*LENGTHS, n_queries)
    starts = rng.integers(FILLER - max(LENGTHS), size=n_queries)
    return [
        f"{i:08d} {filler[start : start + length]}"
        for i, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]


def categorical(columns):
    cells = {n: pd.Categorical.from_codes(c, v) for n, (c, v) in columns.items()}
    return pd.DataFrame(cells)


def shared_objects(columns):
    cells = {n: np.array(v, dtype=object)[c] for n, (c, v) in columns.items()}
    return pd.DataFrame(cells, dtype=object)


def arrow(columns):
    return pa.table(
        {
            name: pa.array(
                values, pa.large_string() if name != "query_id" else None
            ).take(pa.array(codes))
            for name, (codes, values) in columns.items()
        }
    )


def dictionary(columns):
    return pa.table(
        {
            name: pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))
            for name, (codes, values) in columns.items()
        }
    )


def pandas_strings(columns):
    return arrow(columns).to_pandas()


def polars_strings(columns):
    return pl.from_arrow(arrow(columns))


def polars_categorical(columns):
    text = pl.col("model", "query").cast(pl.Categorical)
    return polars_strings(columns).with_columns(text)


def vector_cells(columns):
    codes, values = columns["query"]
    cells = np.empty(len(values), dtype=object)
    cells[:] = list(encodings(len(values)))
    others = {name: column for name, column in columns.items() if name != "query"}
    return categorical(others).assign(query=cells[codes])


FORMS = {
    "pandas categorical": (categorical, False),
    "pandas categorical, query_id": (categorical, True),
    "pandas str": (pandas_strings, False),
    "pandas object": (shared_objects, False),
    "pandas vector cells": (vector_cells, True),
    "Arrow string": (arrow, False),
    "Arrow string, query_id": (arrow, True),
    "Arrow dictionary": (dictionary, False),
    "polars String": (polars_strings, False),
    "polars Categorical": (polars_categorical, False),
}
"""How tables are made, and whether they have a column of identities."""


def normalised_size(router):
    """Return MiB of the arrays of the evaluations that a router keeps."""
    evaluations = router._pool.evaluations
    parts = [*_arrays(evaluations), *_arrays(evaluations.queries)]
    return sum(part.nbytes for part in parts) / MEBI


def _arrays(data):
    values = [getattr(data, field.name) for field in fields(data)]
    return [value for value in values if isinstance(value, np.ndarray)]


if __name__ == "__main__":
    main()
