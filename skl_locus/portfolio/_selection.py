"""Selection of a number of models: farthest first, then swaps.

Models are positions in canonical order; wherever several would do equally well, the
first of them is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skl_locus.portfolio._kernel import batches, similarity
from skl_locus.portfolio._space import ALL, Space, distances_to


@dataclass(frozen=True)
class SwapResult:
    """Where swapping has led.

    Parameters
    ----------
    chosen : ndarray of shape (n_chosen,)
        Models.
    values : ndarray of shape (n_swaps + 1,)
        Value at first and after each swap.
    n_iter : int
        Number of times that all swaps were looked at.
    converged : bool
        Whether no swap was left that adds to the value.
    """

    chosen: np.ndarray
    values: np.ndarray
    n_iter: int
    converged: bool


def kernel_medoid(sums: np.ndarray, allowed: np.ndarray) -> int:
    """Return the model with the largest mean similarity to the pool (eq. 10).

    Parameters
    ----------
    sums : ndarray of shape (n_models,)
        Sum of each model's similarities.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen; at least one.

    Returns
    -------
    int
        Its position.
    """
    return int(np.where(allowed, sums, -np.inf).argmax())


def farthest_first(
    space: Space, start: np.ndarray, n_chosen: int, allowed: np.ndarray
) -> np.ndarray:
    """Add the model that is covered worst, again and again (eq. 11).

    The similarity falls with the distance, so the model whose best similarity to the
    chosen ones is smallest is the one that is farthest from them.

    Parameters
    ----------
    space : Space
        Distances.
    start : ndarray of shape (n_start,)
        Models to begin with; at least one.
    n_chosen : int
        Number of models in the end.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen, ``n_chosen`` at least.

    Returns
    -------
    ndarray of shape (n_chosen,)
        Models in the order of choice.
    """
    chosen = start.tolist()
    nearest = space.between(ALL, start).min(axis=1)
    while len(chosen) < n_chosen:
        free = allowed.copy()
        free[chosen] = False
        chosen.append(int(np.where(free, nearest, -np.inf).argmax()))
        np.minimum(nearest, distances_to(space, chosen[-1]), out=nearest)
    return np.array(chosen)


def nearest_chosen(space: Space, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assign each model to the nearest chosen one.

    Parameters
    ----------
    space : Space
        Distances.
    chosen : ndarray of shape (n_chosen,)
        Chosen models.

    Returns
    -------
    labels : ndarray of shape (n_models,)
        Index into ``chosen``.
    distances : ndarray of shape (n_models,)
        Distance to it.
    """
    labels = np.empty(space.n_models, dtype=np.int64)
    distances = np.empty(space.n_models)
    for rows in batches(space.n_models):
        block = space.between(rows, chosen)
        labels[rows] = block.argmin(axis=1)
        distances[rows] = block.min(axis=1)
    return labels, distances


def coverage(space: Space, bandwidth: float, chosen: np.ndarray) -> float:
    """Return the sum over the pool of the best similarity to a chosen model (eq. 12).

    Parameters
    ----------
    space : Space
        Distances.
    bandwidth : float
        Width of the kernel.
    chosen : ndarray of shape (n_chosen,)
        Chosen models.

    Returns
    -------
    float
        Between 0 and the number of models.
    """
    _, distances = nearest_chosen(space, chosen)
    return float(similarity(distances, bandwidth).sum())


def coverage_path(space: Space, bandwidth: float, chosen: np.ndarray) -> np.ndarray:
    """Return the coverage after each choice.

    Parameters
    ----------
    space : Space
        Distances.
    bandwidth : float
        Width of the kernel.
    chosen : ndarray of shape (n_chosen,)
        Models in the order of choice.

    Returns
    -------
    ndarray of shape (n_chosen,)
        Sums, non-decreasing.
    """
    nearest = np.full(space.n_models, np.inf)
    path = []
    for model in chosen:
        np.minimum(nearest, distances_to(space, model), out=nearest)
        path.append(similarity(nearest.copy(), bandwidth).sum())
    return np.array(path)


def best_swap(
    matrix: np.ndarray, chosen: np.ndarray, movable: np.ndarray, allowed: np.ndarray
) -> tuple[int, int] | None:
    """Find the swap of a chosen model that adds most to the coverage (eq. 13).

    With h in the place of s, the best similarity of model i is max(K(i, h), b) where
    b is its best similarity to the chosen models other than s: its second best if s
    is the nearest, else its best. So all swaps with h are computed at once.

    Parameters
    ----------
    matrix : ndarray of shape (n_models, n_models)
        Similarities.
    chosen : ndarray of shape (n_chosen,)
        Chosen models.
    movable : ndarray of shape (n_chosen,), bool
        Which of them may go.
    allowed : ndarray of shape (n_models,), bool
        Which models may come.

    Returns
    -------
    (int, int) or None
        Index into ``chosen`` of the model that goes, and the model that comes; None
        if no swap adds to the coverage.
    """
    slots = np.flatnonzero(movable)
    candidates = np.setdiff1d(np.flatnonzero(allowed), chosen)
    best, second, nearest = two_best(matrix[:, chosen])
    belongs = (nearest[:, None] == slots).astype(np.float64)
    found, found_gain = None, 0.0
    for batch in batches(len(candidates)):
        gains = swap_gains(matrix[candidates[batch]], best, second, belongs)
        if gains.max(initial=0.0) > found_gain:
            candidate, slot = np.unravel_index(gains.argmax(), gains.shape)
            found_gain = gains[candidate, slot]
            found = int(slots[slot]), int(candidates[batch][candidate])
    return found


def swap_gains(
    values: np.ndarray, best: np.ndarray, second: np.ndarray, belongs: np.ndarray
) -> np.ndarray:
    """Return what each candidate adds in the place of each chosen model.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_items)
        Value of each candidate for what is covered; overwritten.
    best, second : ndarray of shape (n_items,)
        Best and second best value among the chosen models.
    belongs : ndarray of shape (n_items, n_slots), 0 or 1
        Whether the chosen model of a slot is the best for an item.

    Returns
    -------
    ndarray of shape (n_candidates, n_slots)
        Gains, negative where the swap would lose.
    """
    # The gain of a swap is what h adds while s is kept, plus, over the items that s is
    # best for, what is then lost: one product gives the second part for all s.
    if_kept = np.maximum(values, best)
    if_gone = np.maximum(values, second, out=values)
    if_gone -= if_kept
    return (if_kept - best).sum(axis=1)[:, None] + if_gone @ belongs


def two_best(
    to_chosen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best and second best value of each item, and the best model.

    Values are not negative, so 0 stands for the second best of a single model.
    """
    models = np.arange(len(to_chosen))
    nearest = to_chosen.argmax(axis=1)
    best = to_chosen[models, nearest]
    to_others = to_chosen.copy()
    to_others[models, nearest] = 0
    return best, to_others.max(axis=1), nearest


def improve_by_swaps(
    matrix: np.ndarray,
    chosen: np.ndarray,
    fixed: np.ndarray,
    allowed: np.ndarray,
    value_of: Callable[[np.ndarray], float],
    max_iter: int,
) -> SwapResult:
    """Make the best swap, again and again, as long as it adds to the value.

    Parameters
    ----------
    matrix : ndarray of shape (n_models, n_models)
        Similarities.
    chosen : ndarray of shape (n_chosen,)
        Models to begin with, ascending.
    fixed : ndarray
        Models that must stay.
    allowed : ndarray of shape (n_models,), bool
        Models that may be chosen.
    value_of : callable
        What to maximise: chosen models in, a number out. A swap that is the best by
        ``matrix`` and adds nothing to it is not made, nor any other with its model.
    max_iter : int
        Number of swaps to look at.

    Returns
    -------
    SwapResult
        The models, ascending, and how they came about.
    """
    # A newcomer whose best swap fails is not tried again, so that the loop ends.
    allowed = allowed.copy()
    values = [value_of(chosen)]
    for n_iter in range(1, max_iter + 1):
        swap = best_swap(matrix, chosen, ~np.isin(chosen, fixed), allowed)
        if swap is None:
            return SwapResult(chosen, np.array(values), n_iter, True)
        leaves, comes = swap
        swapped = np.sort([*np.delete(chosen, leaves), comes])
        value = value_of(swapped)
        if value > values[-1]:
            chosen = swapped
            values.append(value)
        else:
            allowed[comes] = False
    return SwapResult(chosen, np.array(values), max_iter, False)
