"""Tables of (query, model) scores made of long rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skl_locus._data.pairs import score_matrix

ROWS = st.lists(
    st.tuples(st.integers(-1, 2), st.integers(-1, 3), st.floats(0, 1)), max_size=30
)


def matrix_of(rows):
    queries, models, values = np.array(rows, dtype=float).reshape(-1, 3).T
    return score_matrix(queries.astype(int), models.astype(int), values, (3, 4))


@given(ROWS, st.randoms())
def test_repeated_rows_are_averaged_in_any_order(rows, random):
    matrix = matrix_of(rows)
    for query in range(3):
        for model in range(4):
            own = [value for q, m, value in rows if (q, m) == (query, model)]
            expected = np.mean(own) if own else np.nan
            np.testing.assert_allclose(matrix[query, model], expected, rtol=1e-12)
    random.shuffle(rows)
    assert_array_equal(matrix_of(rows), matrix)


def test_rows_that_occur_once_are_taken_as_they_are():
    values = np.array([0.25, 0.1], dtype=np.float32)
    matrix = score_matrix(np.array([1, 0]), np.array([0, 1]), values, (2, 2))
    assert_array_equal(matrix, [[np.nan, np.float32(0.1)], [0.25, np.nan]])
