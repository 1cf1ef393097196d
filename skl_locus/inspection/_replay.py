"""A log played once more, with a policy choosing among what was observed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike

from skl_locus._costs.tables import checked_column, cost_matrix
from skl_locus._data.columns import CARRIED_COLUMNS, as_frame, model_groups, read_column
from skl_locus._data.evaluations import label_array
from skl_locus._data.identity import query_keys
from skl_locus._data.pairs import EvaluatedPairs, best_covered_model, pair_up
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
"""What is replayed, in the order of every table."""

NOTHING = -1
"""Stands for the pair, or the model, that there is not."""


@dataclass(frozen=True)
class Outcome:
    """What a way of choosing comes to on each query.

    Parameters
    ----------
    costs, scores : ndarray of shape (n_queries,)
        Of the model chosen; 0 where nothing can be known.
    known : ndarray of shape (n_queries,), bool
        Whether the log tells.
    coverage : ndarray of shape (n_queries,)
        Whether what it would choose among all models was observed, or how much of
        what it chooses among.
    """

    costs: np.ndarray
    scores: np.ndarray
    known: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True)
class Replay:
    """A log, the models that a policy and its rivals choose, and what comes of it.

    Parameters
    ----------
    pairs : EvaluatedPairs
        The evaluated pairs, with the columns score, spent (what the log says a call
        has cost, or else what the policy reckons), costs (what the policy reckons)
        and y_score (P(correct)).
    singles : dict of str to object
        Labels of the single models that are always chosen, by the name of the row.
    outcomes : dict of str to Outcome
        What comes of each way of choosing, by the name of its row.
    tasks : ndarray of shape (n_queries,)
        Position of each query's task in ``task_labels``, -1 where it has none.
    task_labels : list
        Sorted tasks.
    """

    pairs: EvaluatedPairs
    singles: dict[str, Any]
    outcomes: dict[str, Outcome]
    tasks: np.ndarray
    task_labels: list

    def by_task(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield each task with its queries."""
        for code, label in enumerate(self.task_labels):
            yield label, np.flatnonzero(self.tasks == code)

    def models(self) -> Iterator[tuple[Any, float, float, float]]:
        """Yield each model with its mean cost and score, and its coverage."""
        for position, label in enumerate(self.pairs.labels):
            own = self.pairs.of_model(position)
            cost, score = self.pairs.columns["spent"][own], self.pairs.scores[own]
            coverage = len(own) / self.pairs.n_queries
            yield label, stable_mean(cost), stable_mean(score), coverage


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
    """Let a policy and its rivals choose a model for each query of a log."""
    frame = as_frame(evaluations)
    if frame is None:
        raise TypeError("evaluations must be a dataframe with a model column.")
    scores = check_scores(read_column(frame, score_col) if y is None else y, "scores")
    if len(scores) != len(frame):
        raise ValueError(f"evaluations has {len(frame)} rows, but y has {len(scores)}.")
    router = fitted_router(policy.router)
    queries, keys = query_keys(router, frame)
    if not allow_seen:
        check_unseen(router, keys, "The policy's router")
    models, labels = _known_models(router, frame)
    spent = np.full(len(frame), np.nan)
    if cost_col in frame.columns:
        spent = checked_column(frame, cost_col)
    first = np.lexsort((spent, scores, models, queries))[_starts(queries)]
    bare = _bare_queries(router, frame, first, cost_col)
    reckoned = _reckoned(policy, bare, len(first), labels)
    correct = router.correctness_matrix(bare, models=labels)
    pairs = pair_up(queries, models, labels, {"score": scores, "spent": spent})
    pairs = _with_predictions(pairs, reckoned, correct)
    singles = {
        BEST: _best_single(pairs, router, reference, min_coverage),
        CHEAPEST: _single(pairs, labels, -reckoned.mean(axis=0), min_coverage),
    }
    outcomes = _outcomes(pairs, policy, bare, singles)
    tasks, task_labels = task_codes(evaluations, task_col, len(frame))
    return Replay(pairs, singles, outcomes, tasks[first], task_labels)


def _known_models(router: Any, frame: nw.DataFrame) -> tuple[np.ndarray, list]:
    codes, labels = model_groups(frame, router.model_col)
    strange = [label for label in labels if label not in set(router.models_)]
    if strange:
        raise ValueError(
            f"The model {strange[0]!r} of evaluations is none of the router's; leave "
            "its rows out, or onboard it with add_models."
        )
    return codes, labels


def _starts(queries: np.ndarray) -> np.ndarray:
    """Return where each query begins once rows are sorted by query."""
    sizes = np.bincount(queries)
    return np.cumsum(sizes) - sizes


def _bare_queries(
    router: Any, frame: nw.DataFrame, rows: np.ndarray, cost_col: str
) -> Any:
    """Return one row per query, without what only the answers tell."""
    told = (router.model_col, cost_col, *CARRIED_COLUMNS)
    kept = [name for name in frame.columns if name not in told]
    return frame.select(kept)[rows.tolist()].to_native()


def _reckoned(policy: Any, bare: Any, n_queries: int, labels: list) -> np.ndarray:
    """Return what models cost, among them those that the policy does not choose."""
    if policy.cost_model_ is None:
        raise ValueError("The policy has no costs; pass cost_model= to it.")
    return cost_matrix(policy.cost_model_, bare, n_queries, label_array(labels))


def _with_predictions(
    pairs: EvaluatedPairs, reckoned: np.ndarray, correct: np.ndarray
) -> EvaluatedPairs:
    """Add what is expected of the pairs; it also stands in for costs."""
    at = pairs.queries, pairs.models
    spent = pairs.columns["spent"]
    predictions = {
        "spent": np.where(np.isnan(spent), reckoned[at], spent),
        "costs": reckoned[at],
        "y_score": correct[at].astype(np.float64),
    }
    return replace(pairs, columns={**pairs.columns, **predictions})


def _best_single(
    pairs: EvaluatedPairs, router: Any, reference: Any, min_coverage: float
) -> Any:
    """Return the model that is said to be used now, or was best in training."""
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
    pairs: EvaluatedPairs, policy: Any, bare: Any, singles: dict[str, Any]
) -> dict[str, Outcome]:
    oracle = pairs.best(pairs.scores, -pairs.columns["spent"])
    offered = pairs.sizes / len(fitted_router(policy.router).models_)
    outcomes = {POLICY: _outcome(pairs, *_policy_choices(pairs, policy, bare))}
    for name, label in singles.items():
        own = pairs.of_model(pairs.labels.index(label))
        chosen = np.full(pairs.n_queries, NOTHING)
        chosen[pairs.queries[own]] = own
        outcomes[name] = _outcome(pairs, chosen, chosen != NOTHING)
    costs, scores = (
        np.add.reduceat(pairs.columns[name], pairs.starts) / pairs.sizes
        for name in ("spent", "score")
    )
    everywhere = np.ones(pairs.n_queries, dtype=bool)
    outcomes[RANDOM] = Outcome(costs, scores, everywhere, offered)
    outcomes[ORACLE] = _outcome(pairs, oracle, offered)
    return outcomes


def _outcome(
    pairs: EvaluatedPairs, chosen: np.ndarray, coverage: np.ndarray
) -> Outcome:
    """Return what comes of a pair for each query, or of none."""
    known = chosen != NOTHING
    costs = np.where(known, pairs.columns["spent"][chosen], 0.0)
    scores = np.where(known, pairs.scores[chosen], 0.0)
    return Outcome(costs, scores, known, coverage.astype(np.float64))


def _policy_choices(
    pairs: EvaluatedPairs, policy: Any, bare: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pair of each query, and whether it is the policy's free choice.

    Where the free choice was not observed, the policy chooses again, with all models
    down that were not.
    """
    router = fitted_router(policy.router)
    options = list(router.models_ if policy.models_ is None else policy.models_)
    pair_at = np.full((pairs.n_queries, len(pairs.labels)), NOTHING)
    pair_at[pairs.queries, pairs.models] = np.arange(len(pairs.models))
    chosen = _pairs_of(policy.route(bare), pair_at, pairs.labels)
    free = chosen != NOTHING
    frame = nw.from_native(bare)
    missing = np.flatnonzero(~free)
    for some, observed in _groups(pair_at[missing] != NOTHING):
        rows = missing[some]
        seen = {pairs.labels[code] for code in np.flatnonzero(observed)}
        if seen.isdisjoint(options):
            continue  # nothing that the policy may choose
        down = [label for label in options if label not in seen]
        again = policy.route(frame[rows.tolist()].to_native(), unavailable=down)
        chosen[rows] = _pairs_of(again, pair_at[rows], pairs.labels)
    return chosen, free


def _pairs_of(routes: Any, pair_at: np.ndarray, labels: list) -> np.ndarray:
    """Return the pair of each query with its route, where it was observed."""
    codes = {label: code for code, label in enumerate(labels)}
    routed = np.array([codes.get(label, NOTHING) for label in routes])
    own = pair_at[np.arange(len(routed)), routed]
    return np.where(routed == NOTHING, NOTHING, own)


def _groups(rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the positions of equal rows, with the row."""
    distinct, codes = np.unique(rows, axis=0, return_inverse=True)
    for code, row in enumerate(distinct):
        yield np.flatnonzero(codes.ravel() == code), row
