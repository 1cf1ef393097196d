"""Columns become codes, and rows evaluations, whatever the form of the table."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skl_locus._data import evaluations as _evaluations
from skl_locus._data.codes import compact, factorize, first_rows
from skl_locus._data.columns import as_frame, read_column
from skl_locus._data.evaluations import DUPLICATES, combine_rows
from skl_locus._data.queries import QuerySet

TEXTS = ["b", "a", "b", "c"]
CATEGORIES = ["d", "c", "b", "a"]


def dictionary(codes, values):
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(values))


FORMS = {
    "object": pd.Series(TEXTS, dtype=object),
    "str": pd.Series(TEXTS),
    "categorical": pd.Series(pd.Categorical(TEXTS, CATEGORIES)),
    "arrow": pa.chunked_array([TEXTS]),
    "arrow chunks": pa.chunked_array([TEXTS[:1], TEXTS[1:]], pa.large_string()),
    "arrow views": pa.chunked_array([TEXTS], pa.string_view()),
    "dictionary": dictionary([2, 3, 2, 1], CATEGORIES),
    "dictionary chunks": pa.chunked_array(
        [dictionary([0], ["b"]), dictionary([1, 0, 2], ["b", "a", "c"])]
    ),
    "dictionary with doubles": dictionary([0, 1, 2, 4], ["b", "a", "b", None, "c"]),
    "polars": pl.Series(TEXTS),
    "polars categorical": pl.Series(TEXTS, dtype=pl.Categorical),
    "polars enum": pl.Series(TEXTS, dtype=pl.Enum(CATEGORIES)),
}
MISSING = {
    "object": pd.Series(["a", None, "b"], dtype=object),
    "str": pd.Series(["a", None, "b"]),
    "categorical": pd.Series(pd.Categorical(["a", None, "b"])),
    "arrow": pa.chunked_array([["a", None, "b"]]),
    "dictionary": dictionary([0, None, 1], ["a", "b"]),
    "dictionary with null": dictionary([0, 1, 2], ["a", None, "b"]),
    "dictionaries with nulls": pa.chunked_array(
        [dictionary([0, 1], ["a", None]), dictionary([1], [None, "b"])]
    ),
    "polars": pl.Series(["a", None, "b"]),
    "polars enum": pl.Series(["a", None, "b"], dtype=pl.Enum(["b", "a"])),
}


def column(values):
    library = {pd.Series: pd.DataFrame, pl.Series: pl.DataFrame}
    table = library.get(type(values), pa.table)({"text": values})
    return read_column(as_frame(table), "text")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_column_of_text_has_the_same_values(form):
    codes, texts = factorize(column(FORMS[form]), "text")
    assert codes.dtype == np.int32
    assert sorted(texts) == ["a", "b", "c"]
    assert [texts[code] for code in codes] == TEXTS


@pytest.mark.parametrize("form", MISSING)
def test_a_missing_value_is_named_by_its_row(form):
    with pytest.raises(ValueError, match="'text' has a missing value in row 1"):
        factorize(column(MISSING[form]), "text")


@pytest.mark.parametrize("form", ["arrow", "dictionary", "polars", "polars enum"])
def test_columns_of_text_are_read_without_an_object_for_each_row(form):
    assert isinstance(column(FORMS[form]).dtype, pd.CategoricalDtype)


@given(st.lists(st.integers(0, 9)), st.integers(10, 12))
def test_compact_numbers_the_codes_that_occur(codes, n_codes):
    codes = np.array(codes, dtype=np.int64)
    used, new_codes = compact(codes, n_codes)
    expected, inverse = np.unique(codes, return_inverse=True)
    assert_array_equal(used[new_codes], codes)
    if len(used) < n_codes:
        assert_array_equal(used, expected)
        assert_array_equal(new_codes, inverse)


def test_first_rows():
    assert_array_equal(first_rows(np.array([1, 1, 0, 2, 0]), 3), [2, 0, 3])


@st.composite
def rows(draw):
    n_rows = draw(st.integers(1, 12))
    codes = st.lists(st.integers(0, 2), min_size=n_rows, max_size=n_rows)
    scores = st.lists(
        st.sampled_from([0.0, 0.1, 0.25, 1.0]), min_size=n_rows, max_size=n_rows
    )
    return (
        np.array(draw(codes), dtype=np.int32),
        np.array(draw(codes), dtype=np.int32),
        np.array(draw(scores), dtype=np.float32),
    )


def combined(models, queries, scores, duplicates):
    keys = QuerySet(np.arange(3), np.arange(3), np.zeros((3, 1), dtype=np.float32))
    counts = np.ones(len(scores), dtype=np.int32)
    return combine_rows(list("abc"), keys, models, queries, scores, counts, duplicates)


@pytest.mark.parametrize("duplicates", DUPLICATES)
@pytest.mark.parametrize("key_bits", [63, 2], ids=["packed", "indirect"])
@given(table=rows())
def test_combined_rows_are_those_of_pandas(duplicates, key_bits, table):
    models, queries, scores = table
    groups = pd.DataFrame({"m": models, "q": queries, "s": scores}).groupby(["m", "q"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evaluations, "KEY_BITS", key_bits)
        if duplicates == "raise" and groups.size().max() > 1:
            with pytest.raises(ValueError, match="has two rows for one query"):
                combined(*table, duplicates)
            return
        evaluations = combined(*table, duplicates)
    function = "first" if duplicates == "raise" else duplicates
    expected = groups.s.agg(function).reset_index()
    assert_array_equal(evaluations.model_codes, expected.m)
    assert_array_equal(evaluations.query_codes, expected.q)
    assert_array_equal(evaluations.counts, groups.size())
    assert np.abs(evaluations.scores - expected.s).max() <= 1e-7


@pytest.mark.parametrize("duplicates", ["mean", "max"])
@given(table=rows(), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_no_bit(duplicates, table, seed):
    order = np.random.default_rng(seed).permutation(len(table[0]))
    one = combined(*table, duplicates)
    other = combined(*(values[order] for values in table), duplicates)
    assert one.scores.tobytes() == other.scores.tobytes()
    assert one.counts.tobytes() == other.counts.tobytes()


def test_repeated_rows_are_named_where_they_must_not_be():
    models, queries = np.array([0, 1, 2, 1, 1]), np.array([0, 2, 0, 2, 2])
    with pytest.raises(ValueError, match=r"Model 'b' .* \(rows 1 and 3\)"):
        combined(models, queries, np.ones(5, dtype=np.float32), "raise")
