"""Distinct encodings are found by their first bytes, in the order of all bytes."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skl_locus._data.encodings import MAX_ENTRY, first_unusable
from skl_locus._data.queries import distinct_rows

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(60, 6)).astype(np.float32)
SHUFFLED = RNG.permutation(180)
MATRICES = {
    "different": NORMAL,
    "repeated": np.repeat(NORMAL, 3, axis=0)[SHUFFLED],
    "same beginning": np.hstack([np.zeros((60, 2), np.float32), NORMAL]),
    "few values": -RNG.integers(-2, 2, size=(200, 4)).astype(np.float32),
    "one column": -RNG.integers(-2, 2, size=(50, 1)).astype(np.float32),
    "columns first": np.asfortranarray(NORMAL),
    "one row": NORMAL[:1],
}


def by_bytes(matrix):
    """Find distinct rows in the order of their bytes, one at a time."""
    rows = [(row + np.float32(0)).tobytes() for row in np.ascontiguousarray(matrix)]
    found = sorted(set(rows))
    return [found.index(row) for row in rows], found


@pytest.mark.parametrize("name", MATRICES)
def test_distinct_rows_are_those_of_all_bytes_in_their_order(name):
    codes, found = by_bytes(MATRICES[name])
    distinct = distinct_rows(MATRICES[name])
    assert_array_equal(distinct.codes, codes)
    assert [vector.tobytes() for vector in distinct.vectors] == found
    assert not np.shares_memory(distinct.vectors, MATRICES[name])


@pytest.mark.parametrize("entry", [np.nan, np.inf, -np.inf, -1.1 * MAX_ENTRY, 3e38])
def test_the_first_unusable_row_is_found(entry):
    vectors = NORMAL.copy()
    vectors[[7, 11], 3] = entry
    assert first_unusable(vectors) == 7
    assert first_unusable(vectors[:7]) is None


def test_large_entries_can_be_used_together():
    assert first_unusable(np.full((50, 6), MAX_ENTRY / 2, dtype=np.float32)) is None
