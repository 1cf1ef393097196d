"""Evaluations in long form as hypothesis draws them, with repeats and ties."""

from hypothesis import strategies as st

long_rows = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from("abc"),
        st.sampled_from([0, 0.1, 0.3, 0.7, 1]),
        st.sampled_from([-2, -0.1, 0.3, 0.7]),
    ),
    min_size=1,
    max_size=40,
)
"""Rows (query, model, score, decision)."""


def distinct(rows):
    """Keep the last row of each query and model."""
    return list({row[:2]: row for row in rows}.values())
