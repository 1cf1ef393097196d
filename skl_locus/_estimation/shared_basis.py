"""One set of principal axes for all designs of a fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skl_locus._data.codes import find_sorted
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.linear_few import GramDesign, ScalarProducts
from skl_locus._estimation.linear_solvers import RotatedDesign

FEW_MODELS = 2
FEW_QUERIES = 0.5
"""With so few models on so few queries, as a share of the features, a Cholesky
decomposition per Newton step takes less time than axes and conjugate gradients."""

MAX_PRODUCTS_HELD = 2**24
"""Scalar products held at a time: those of 4,096 encodings, 134 MB."""


@dataclass(frozen=True)
class SharedBasis:
    """The principal axes of a pool's encodings, computed when they are first needed.

    Finding axes costs as much as fitting dozens of models, and a fit with its
    cross-validation has many designs, all of them of queries of the same pool.

    Parameters
    ----------
    queries : QuerySet
        All queries of the pool.
    """

    queries: QuerySet

    @cached_property
    def design(self) -> RotatedDesign:
        """The pool's distinct encodings in their axes."""
        return RotatedDesign.of(self.queries.encodings)

    def design_of(self, queries: QuerySet, rows: np.ndarray) -> RotatedDesign | None:
        """Return the design of some encodings, None if they are not all of the pool.

        ``rows`` are rows of the encodings of ``queries``, one for each evaluation.
        """
        places = find_sorted(self.queries.keys, queries.keys)
        if (places < 0).any():
            return None
        own = np.empty(len(queries.encodings), dtype=np.intp)
        own[queries.rows] = self.queries.rows[places]
        return self.design.only(own[rows])


_current: ContextVar[SharedBasis | None] = ContextVar("shared_basis", default=None)


@contextmanager
def shared_basis(queries: QuerySet) -> Iterator[None]:
    """Take all designs of these queries within the block in the same axes.

    The axes live as long as the outermost such block, and other threads do not see
    them.
    """
    token = _current.set(_current.get() or SharedBasis(queries))
    try:
        yield
    finally:
        _current.reset(token)


def design_of(
    queries: QuerySet,
    rows: np.ndarray,
    n_models: int,
    products: ScalarProducts | None = None,
) -> RotatedDesign | GramDesign:
    """Return the design of some rows of encodings for a number of models.

    It is in shared axes where there are some, or has shared scalar products.
    """
    if is_of_few(rows, n_models, queries):
        gram = None if products is None else products.centered(rows)
        return GramDesign.of(queries.encodings[rows], gram)
    basis = _current.get()
    design = None if basis is None else basis.design_of(queries, rows)
    return RotatedDesign.of(queries.encodings[rows]) if design is None else design


def shared_products(
    queries: QuerySet, designs: Iterable[tuple[np.ndarray, int]]
) -> ScalarProducts | None:
    """Multiply all encodings, if that is less work than for each design apart.

    Parameters
    ----------
    queries : QuerySet
        The queries.
    designs : iterable of (ndarray, int)
        Rows of the encodings, and the number of models, of each design.

    Returns
    -------
    ScalarProducts or None
        Of all encodings; None if they are too many.
    """
    apart = sum(
        len(r) ** 2 for r, n_models in designs if is_of_few(r, n_models, queries)
    )
    together = len(queries.encodings) ** 2
    if together > min(apart, MAX_PRODUCTS_HELD):
        return None
    return ScalarProducts.of(queries.encodings)


def is_of_few(rows: np.ndarray, n_models: int, queries: QuerySet) -> bool:
    """Return whether a design is so small that scalar products serve it best."""
    return n_models <= FEW_MODELS and len(rows) <= FEW_QUERIES * queries.n_features
