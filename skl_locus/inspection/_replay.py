"""Replay of a log: a policy and its rivals choose among the observed models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike

from skl_locus._costs.tables import cost_matrix
from skl_locus._data.columns import as_frame, model_groups, read_amounts, read_column
from skl_locus._data.evaluations import label_array, positions_of
from skl_locus._data.identity import identify_rows
from skl_locus._data.pairs import EvaluatedPairs, best_covered_model, pair_up
from skl_locus._data.queries import UniqueQueries
from skl_locus._data.query_batch import QueryBatch, logged_batch
from skl_locus._data.schema import CARRIED_COLUMNS
from skl_locus._data.tasks import task_codes
from skl_locus._routing.unwrap import check_unseen, fitted_router, stored_evaluations
from skl_locus._utils.array_checks import check_scores
from skl_locus._utils.statistics import stable_mean

POLICY, BEST, CHEAPEST, RANDOM, ORACLE = ROWS = (
    "policy",
    "always best",
    "always cheapest",
    "random",
    "oracle",
)
"""Ways of choosing, in the order of every table."""

NOTHING = -1
"""Code of a pair or a model that does not exist."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a way of choosing on each query.

    Parameters
    ----------
    costs, scores : ndarray of shape (n_queries,)
        Cost and score of the chosen model; 0 where they are not known.
    known : ndarray of shape (n_queries,), bool
        Whether the chosen model was observed.
    coverage : ndarray of shape (n_queries,)
        Whether the free choice among all models was observed, or the share of the
        models to choose among that were.
    """

    costs: np.ndarray
    scores: np.ndarray
    known: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True)
class Replay:
    """A log with the outcomes of a policy and its rivals.

    Parameters
    ----------
    pairs : EvaluatedPairs
        The evaluated pairs, with the columns score, observed_costs (of the log; where
        it has none, the expected ones), costs (those that the policy expects) and
        y_score (P(correct)).
    singles : dict of str to object
        Labels of the single models that are always chosen, by the name of the row.
    outcomes : dict of str to Outcome
        Outcome of each way of choosing, by the name of its row.
    tasks : ndarray of shape (n_queries,)
        Position of each query's task in ``task_labels``, -1 where it has none.
    task_labels : list
        Sorted tasks.
    queries : QueryBatch
        The queries, as the policy sees them.
    """

    pairs: EvaluatedPairs
    singles: dict[str, Any]
    outcomes: dict[str, Outcome]
    tasks: np.ndarray
    task_labels: list
    queries: QueryBatch

    def by_task(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield each task with its queries."""
        for code, label in enumerate(self.task_labels):
            yield label, np.flatnonzero(self.tasks == code)

    def models(self) -> Iterator[tuple[Any, float, float, float]]:
        """Yield each model with its mean cost and score, and its coverage."""
        for position, label in enumerate(self.pairs.labels):
            own = self.pairs.of_model(position)
            costs = self.pairs.columns["observed_costs"][own]
            coverage = len(own) / self.pairs.n_queries
            yield (
                label,
                stable_mean(costs),
                stable_mean(self.pairs.scores[own]),
                coverage,
            )


def replay(
    policy: Any,
    evaluations: Any,
    y: ArrayLike | None,
    *,
    reference: Any,
    min_coverage: float,
    cost_col: str,
    score_col: str,
    task_col: str | None,
    allow_seen: bool,
) -> Replay:
    """Choose a model for each query of a log, by a policy and by its rivals."""
    frame = as_frame(evaluations)
    if frame is None:
        raise TypeError("evaluations must be a dataframe with a model column.")
    scores = check_scores(read_column(frame, score_col) if y is None else y, "scores")
    if len(scores) != len(frame):
        raise ValueError(f"evaluations has {len(frame)} rows, but y has {len(scores)}.")
    router = fitted_router(policy.router)
    identified = identify_rows(router, frame)
    if not allow_seen:
        check_unseen(router, identified, "The policy's router")
    queries = identified.codes
    models, labels = _known_models(router, frame)
    observed_costs = _observed_costs(frame, cost_col)
    # Of the rows of a query, one and the same is taken whatever their order.
    first = np.lexsort((observed_costs, scores, models, queries))[_starts(queries)]
    # The policy must not see more than it would in service.
    bare = _bare_queries(router, identified, frame, first, cost_col)
    expected_costs = _expected_costs(policy, bare, len(first), labels)
    correct = router.correctness_matrix(bare, models=labels)
    observed = {"score": scores, "observed_costs": observed_costs}
    pairs = pair_up(queries, models, labels, observed)
    pairs = _with_predictions(pairs, expected_costs, correct)
    singles = {
        BEST: _best_single(pairs, router, reference, min_coverage),
        CHEAPEST: _single(pairs, labels, -expected_costs.mean(axis=0), min_coverage),
    }
    outcomes = _outcomes(pairs, policy, bare, singles)
    tasks, task_labels = task_codes(evaluations, task_col, len(frame))
    return Replay(pairs, singles, outcomes, tasks[first], task_labels, bare)


def _known_models(router: Any, frame: nw.DataFrame) -> tuple[np.ndarray, list]:
    codes, labels = model_groups(frame, router.model_col)
    strange = [label for label in labels if label not in set(router.models_)]
    if strange:
        raise ValueError(
            f"The model {strange[0]!r} of evaluations is none of the router's; leave "
            "its rows out, or onboard it with add_models."
        )
    return codes, labels


def _observed_costs(frame: nw.DataFrame, cost_col: str) -> np.ndarray:
    """Return the cost of each row, NaN where the log has none."""
    if cost_col not in frame.columns:
        return np.full(len(frame), np.nan)
    return read_amounts(frame, cost_col)


def _starts(queries: np.ndarray) -> np.ndarray:
    """Return where each query begins once rows are sorted by query."""
    sizes = np.bincount(queries)
    return np.cumsum(sizes) - sizes


def _bare_queries(
    router: Any,
    identified: UniqueQueries,
    frame: nw.DataFrame,
    rows: np.ndarray,
    cost_col: str,
) -> QueryBatch:
    """Read and encode each query once, without what is known only from answers."""
    observed = (router.model_col, cost_col, *CARRIED_COLUMNS)
    kept = [name for name in frame.columns if name not in observed]
    bare = frame.select(kept)[rows.tolist()]
    return router._read_queries(logged_batch(identified, bare, router.query_col))


def _expected_costs(
    policy: Any, bare: QueryBatch, n_queries: int, labels: list
) -> np.ndarray:
    """Return the costs of all models, also of those that the policy may not choose."""
    if policy.cost_model_ is None:
        raise ValueError("The policy has no costs; pass cost_model= to it.")
    return cost_matrix(policy.cost_model_, bare, n_queries, label_array(labels))


def _with_predictions(
    pairs: EvaluatedPairs, expected_costs: np.ndarray, correct: np.ndarray
) -> EvaluatedPairs:
    """Add P and expected costs, which also fill the gaps of the observed costs."""
    cells = pairs.queries, pairs.models
    expected, observed = expected_costs[cells], pairs.columns["observed_costs"]
    predictions = {
        "observed_costs": np.where(np.isnan(observed), expected, observed),
        "costs": expected,
        "y_score": correct[cells].astype(np.float64),
    }
    return replace(pairs, columns={**pairs.columns, **predictions})


def _best_single(
    pairs: EvaluatedPairs, router: Any, reference: Any, min_coverage: float
) -> Any:
    """Return the reference, or the model that was best in the router's training."""
    if reference is not None:
        if reference not in pairs.labels:
            raise ValueError(f"reference={reference!r} is no model of evaluations.")
        return reference
    kept = stored_evaluations(router)
    return _single(pairs, kept.model_names, kept.model_means(), min_coverage)


def _single(
    pairs: EvaluatedPairs, labels: Any, merits: np.ndarray, min_coverage: float
) -> Any:
    position = best_covered_model(pairs, labels, merits, min_coverage)
    if position is None:
        raise ValueError(
            f"No model was evaluated on {min_coverage:.0%} of the queries, so that "
            "none can be what is always chosen; lower min_coverage."
        )
    return pairs.labels[position]


def _outcomes(
    pairs: EvaluatedPairs, policy: Any, bare: QueryBatch, singles: dict[str, Any]
) -> dict[str, Outcome]:
    # Of several best models the cheapest: with another one, a policy that is as good
    # for less would beat the oracle.
    oracle = pairs.best(pairs.scores, -pairs.columns["observed_costs"])
    offered = pairs.sizes / len(fitted_router(policy.router).models_)
    outcomes = {POLICY: _outcome(pairs, *_policy_choices(pairs, policy, bare))}
    for name, label in singles.items():
        own = pairs.of_model(pairs.labels.index(label))
        chosen = np.full(pairs.n_queries, NOTHING)
        chosen[pairs.queries[own]] = own
        outcomes[name] = _outcome(pairs, chosen, chosen != NOTHING)
    costs, scores = (
        np.add.reduceat(pairs.columns[name], pairs.starts) / pairs.sizes
        for name in ("observed_costs", "score")
    )
    everywhere = np.ones(pairs.n_queries, dtype=bool)
    outcomes[RANDOM] = Outcome(costs, scores, everywhere, offered)
    outcomes[ORACLE] = _outcome(pairs, oracle, offered)
    return outcomes


def _outcome(
    pairs: EvaluatedPairs, chosen: np.ndarray, coverage: np.ndarray
) -> Outcome:
    """Return the outcome of choosing a pair for each query, or none."""
    known = chosen != NOTHING
    costs = np.where(known, pairs.columns["observed_costs"][chosen], 0.0)
    scores = np.where(known, pairs.scores[chosen], 0.0)
    return Outcome(costs, scores, known, coverage.astype(np.float64))


def _policy_choices(
    pairs: EvaluatedPairs, policy: Any, bare: QueryBatch
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pair of each query, and whether it is the policy's free choice.

    Where the free choice was not observed, the policy chooses again, and the models
    that were not observed count as unavailable.
    """
    router = fitted_router(policy.router)
    options = list(router.models_ if policy.models_ is None else policy.models_)
    pair_at = np.full((pairs.n_queries, len(pairs.labels)), NOTHING)
    pair_at[pairs.queries, pairs.models] = np.arange(len(pairs.models))
    chosen = _pairs_of(policy.route(bare), pair_at, pairs.labels)
    free = chosen != NOTHING
    missing = np.flatnonzero(~free)
    # Queries with the same models observed are routed by one call.
    for group, observed in _groups(pair_at[missing] != NOTHING):
        rows = missing[group]
        seen = {pairs.labels[code] for code in np.flatnonzero(observed)}
        if seen.isdisjoint(options):
            continue  # no model that the policy may choose was observed
        down = [label for label in options if label not in seen]
        again = policy.route(bare.take(rows), unavailable=down)
        chosen[rows] = _pairs_of(again, pair_at[rows], pairs.labels)
    return chosen, free


def _pairs_of(routes: Any, pair_at: np.ndarray, labels: list) -> np.ndarray:
    """Return the pair of each query with its route, where it was observed."""
    routed = positions_of(routes, labels)
    own = pair_at[np.arange(len(routed)), routed]
    return np.where(routed == NOTHING, NOTHING, own)


def _groups(rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the positions of equal rows, with the row."""
    distinct, codes = np.unique(rows, axis=0, return_inverse=True)
    for code, row in enumerate(distinct):
        yield np.flatnonzero(codes.ravel() == code), row
