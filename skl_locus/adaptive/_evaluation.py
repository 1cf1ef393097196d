"""Adaptive evaluation of a new model: ask, tell, result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skl_locus._routing.access import known_models
from skl_locus._utils.estimators import StoredWithoutFit
from skl_locus._utils.validation import check_at_least
from skl_locus.adaptive._batches import Batch, Criterion, NearDuplicates
from skl_locus.adaptive._criteria import VarianceCriterion
from skl_locus.adaptive._mean_score import mean_score
from skl_locus.adaptive._particles import Particles, neighbors_of
from skl_locus.adaptive._pool_queries import AskableQueries
from skl_locus.adaptive._responses import Posterior, ResponseModel
from skl_locus.adaptive._result import AdaptiveResult
from skl_locus.adaptive._spread import SpreadOrder

GOALS = ("routing", "score", "identity")

MAX_TARGETS = 4096
"""Queries of the traffic that variances are averaged over; more change nothing."""

MAX_FAILURES = 2
"""Failures after which a query is dropped; before, it is put back."""

MIN_POOL = 16
"""Models from which on expected scores complete a table. The factors of fewer models
say less of a new one than its own answers do, of which a completed table makes less."""

FREE, PENDING, ANSWERED, DROPPED = range(4)
"""States of a query."""


class AdaptiveEvaluation(StoredWithoutFit):
    """Choose the queries that a new model is evaluated on, batch by batch.

    ``ask`` names the next queries, ``tell`` takes their scores, ``result`` says what is
    known of the model so far. The object keeps all that it needs of the router, and can
    be saved (`skl_locus.save`) or pickled between asks. The queries that are asked next
    depend on the answers so far, and not on the order in which they came.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models; it is not changed.
    queries : list of str, array of shape (n_queries, n_features), Series or dataframe
        Queries that can be asked, in a form that the router takes. Their ids are those
        of the column ``query_id_col``, or positions where there is none.
    goal : {"routing", "score", "identity"}, default="routing"
        What the evaluations are for. "routing": P(correct) on ``traffic``, V-optimal.
        "score": the mean score over ``queries``, V-optimal for it. Both choose within
        small cells of like queries, which are visited evenly. "identity": which known
        model it is, by mutual information. :doc:`/adaptive` has the formulas.
    traffic : queries in the same forms, default=None
        Queries that will be routed, which may be repeated; by default ``queries``. Only
        for ``goal="routing"``.
    costs : mapping or Series by id, or array of shape (n_queries,), default=None
        Positive cost of each query. Gains are then divided by costs, and queries are
        compared with all others rather than within cells.
    random_share : float, default=0.25
        Share of the queries that is drawn with equal probabilities for all, spread
        evenly over clusters and difficulties. They keep the choice from resting on
        the factor model alone. With 1 all queries are drawn so.
    random_state : int, RandomState instance or None, default=None
        Determines what is drawn.

    See Also
    --------
    select_queries : A fixed set of queries for any model.
    estimate_score : The mean score from evaluations that were chosen in any way.

    Notes
    -----
    All choices are greedy: each query of a batch has the largest gain given those
    before it. Of a batch, no two chosen queries are near-duplicates by their encodings
    while others are left.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.adaptive import AdaptiveEvaluation
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> known, new = log[log["model"] != "model-5"], log[log["model"] == "model-5"]
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(known, known["score"])
    >>> queries = new[["query_id", "query"]]
    >>> evaluation = AdaptiveEvaluation(router, queries, random_state=0)
    >>> answers = new.set_index("query_id")["score"]  # in life, the model is asked
    >>> for _ in range(2):
    ...     batch = evaluation.ask(8)
    ...     evaluation = evaluation.tell(batch["query_id"], answers[batch["query_id"]])
    >>> result = evaluation.result("model-5")
    >>> result.n_evaluations
    16
    >>> table = result.completed
    >>> router.add_models(table, table["score"]).models_.tolist()[-1]
    'model-5'
    """

    def __init__(
        self,
        router: Any,
        queries: Any,
        *,
        goal: str = "routing",
        traffic: Any = None,
        costs: Any = None,
        random_share: float = 0.25,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        _check_options(goal, traffic, random_share)
        self.goal = goal
        self.random_share = random_share
        self._known = known_models(router)
        self._askable = AskableQueries.read(router, queries)
        self._costs = self._askable.amounts(costs)
        self._has_costs = costs is not None
        self._responses = ResponseModel.of(self._known.model, self._askable.queries)
        target = self._askable
        if traffic is not None:
            target = AskableQueries.read(router, traffic)
        self._targets, self._target_weights = _targets_of(self._known.model, target)
        self._near = NearDuplicates.of(self._askable.queries)
        self._particles = None
        if goal == "identity":
            self._particles = Particles.of(self._known, self._askable.queries)
        self._places = {each: row for row, each in enumerate(self._askable.ids)}
        self._start(random_state)

    def _start(self, random_state: int | np.random.RandomState | None) -> None:
        """Set what changes between asks: states, scores and what is drawn."""
        n = len(self._askable)
        self._scores = np.full(n, np.nan)
        self._states = np.full(n, FREE)
        self._failures = np.zeros(n, dtype=int)
        # A generator of its own: whoever shares the random state draws the same from it
        # however many batches are asked.
        seed = check_random_state(random_state).randint(2**31)
        self._rng = np.random.default_rng(seed)
        self._drawn = 0
        queries = self._askable.queries
        self._spread = SpreadOrder.of(self._responses, queries, self._rng)

    def ask(self, n: int, *, budget: float | None = None) -> Any:
        """Name the next queries to be asked.

        Parameters
        ----------
        n : int
            Number of queries.
        budget : float, default=None
            Most that they may cost together, in the unit of ``costs``, or in queries
            without them.

        Returns
        -------
        dataframe of at most n rows
            A row of each query, with its id and what else ``queries`` has of it. Fewer
            rows if fewer queries are left or affordable, none in the end. Queries that
            were asked before are not asked again, whether their scores are known or
            not.

        Raises
        ------
        ValueError
            If n is no positive integer or the budget is negative.
        """
        check_at_least(n, "n")
        limit = np.inf if budget is None else float(budget)
        if not limit >= 0:
            raise ValueError(f"budget must be at least 0, got {budget!r}.")
        batch = Batch(self._states == FREE, self._near, self._costs, limit)
        n = min(int(n), int((self._states == FREE).sum()))
        n_drawn = self._random_part(n)
        batch.add_in_order(n_drawn, self._spread.order)
        self._drawn += len(batch.chosen)
        if n > len(batch.chosen):
            # The factor model is not quite true: informative queries taken from
            # everywhere would be those about which it errs most. Where costs differ,
            # a cell may hold nothing that is worth its price.
            is_free_choice = self._has_costs or self.goal == "identity"
            spread = None if is_free_choice else self._spread
            batch.add_best(n - len(batch.chosen), self._criterion(), spread)
        rows = np.array(batch.chosen, dtype=np.intp)
        self._states = _replaced(self._states, rows, PENDING)
        return self._askable.named(rows)

    def tell(self, ids: Iterable, scores: Any) -> AdaptiveEvaluation:
        """Take scores of queries that were asked, in any order and number.

        Parameters
        ----------
        ids : sequence of ids
            Queries.
        scores : array-like of shape (n_ids,) or None
            Their scores in [0, 1]. None, alone or for single queries, and NaN stand for
            evaluations that failed: the query is put back and may be asked once more,
            and is dropped if it fails again.

        Returns
        -------
        self
            The evaluation.

        Raises
        ------
        ValueError
            If a query was not asked, has a score already or occurs twice, if a score
            is not in [0, 1], or if there are not as many scores as ids; nothing is
            taken then.
        """
        rows = self._asked_rows(ids)
        values = _read_scores(scores, len(rows))
        failed = np.isnan(values)
        answered, lost = rows[~failed], rows[failed]
        failures = self._failures[lost] + 1
        after = np.where(failures >= MAX_FAILURES, DROPPED, FREE)
        states = _replaced(self._states, answered, ANSWERED)
        self._scores = _replaced(self._scores, answered, values[~failed])
        self._failures = _replaced(self._failures, lost, failures)
        self._states = _replaced(states, lost, after)
        return self

    def result(self, model: Any = "new model") -> AdaptiveResult:
        """Return what is known of the model so far.

        Parameters
        ----------
        model : label, default="new model"
            Name of the model in the tables for ``add_models``.

        Returns
        -------
        AdaptiveResult
            With ``evaluations``, ``completed``, ``score``, ``neighbors``,
            ``uncertainty``, ``n_evaluations`` and ``cost``.

        Raises
        ------
        ValueError
            If there are no scores yet.
        """
        answered = np.flatnonzero(self._states == ANSWERED)
        if not len(answered):
            raise ValueError("There is no result yet: tell scores first.")
        posterior = self._posterior()
        theta = posterior.theta
        neighbors = neighbors_of(
            self._known,
            self._responses,
            self._askable.queries,
            self._scores,
            theta,
            self._askable.columns.model,
        )
        estimate = mean_score(self._responses, self._scores, posterior)
        uncertainty = {
            "routing": lambda: self._prediction_error(posterior),
            "score": lambda: estimate.standard_error,
            "identity": lambda: 1 - float(neighbors["probability"].iloc[0]),
        }
        return AdaptiveResult(
            self._askable.evaluations(answered, self._scores[answered], model),
            self._askable.evaluations(*self._completed(theta), model),
            estimate,
            neighbors,
            uncertainty[self.goal](),
            len(answered),
            float(self._costs[answered].sum()),
        )

    def should_stop(self, tolerance: float) -> bool:
        """Return whether the wanted quantity is known well enough.

        Parameters
        ----------
        tolerance : float
            Largest ``uncertainty`` of the result that is good enough.

        Returns
        -------
        bool
            True if it is not larger, or if no query is left; False while there are no
            scores.
        """
        if not tolerance >= 0:
            raise ValueError(f"tolerance must be at least 0, got {tolerance!r}.")
        if not np.isin(self._states, (FREE, PENDING)).any():
            return True
        if not (self._states == ANSWERED).any():
            return False
        return self.result().uncertainty <= tolerance

    def __repr__(self) -> str:
        counts = np.bincount(self._states, minlength=DROPPED + 1)
        return (
            f"<{type(self).__name__} for {self.goal}: {counts[ANSWERED]} of "
            f"{len(self._states)} queries answered, {counts[PENDING]} pending>"
        )

    def _completed(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return queries of a completed table, and their scores."""
        is_kept = self._states == ANSWERED
        if self._known.evaluations.n_models >= MIN_POOL:
            is_kept |= self._known.model.places_of(self._askable.queries) >= 0
        expected = self._responses.expected(theta)
        scores = np.where(np.isnan(self._scores), expected, self._scores)
        return np.flatnonzero(is_kept), scores[is_kept]

    def _random_part(self, n: int) -> int:
        """Return how many of the next n queries are drawn, so that the share holds."""
        asked = int((self._states != FREE).sum())
        return min(n, max(0, round(self.random_share * (asked + n)) - self._drawn))

    def _criterion(self) -> Criterion:
        if self.goal == "identity":
            assert self._particles is not None
            return self._particles.criterion(self._scores, self._rng)
        posterior = self._posterior()
        # Queries that are under way will be answered: what they tell is counted now.
        pending = np.flatnonzero(self._states == PENDING)
        directions = self._responses.directions(posterior.theta)
        criterion = VarianceCriterion(
            directions, posterior.covariance, self._target_matrix(posterior.theta)
        )
        for query in pending.tolist():
            criterion.take(query)
        return criterion

    def _posterior(self) -> Posterior:
        return self._responses.posterior(self._scores)

    def _target_matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return G of `v_optimal_gains`, for the traffic or for the mean score."""
        if self.goal == "score":
            mean = self._responses.gradients(theta).mean(axis=0)
            return np.outer(mean, mean)
        gradients = self._targets.gradients(theta)
        return (gradients.T * self._target_weights) @ gradients

    def _prediction_error(self, posterior: Posterior) -> float:
        """Return the root mean square of the deviations of P on the traffic."""
        targets = self._target_matrix(posterior.theta)
        return float(np.sqrt(np.sum(targets * posterior.covariance)))

    def _asked_rows(self, ids: Iterable) -> np.ndarray:
        """Return the rows of ids, each asked, without a score and given once."""
        if isinstance(ids, str):
            raise ValueError(f"ids must be a sequence; pass [{ids!r}].")
        rows: list[int] = []
        for each in _plain(ids):
            row = self._places.get(each)
            if row is None or self._states[row] in (FREE, DROPPED):
                raise ValueError(f"The query {each!r} was not asked.")
            if self._states[row] == ANSWERED:
                raise ValueError(f"The query {each!r} has a score already.")
            rows.append(row)
        if len(set(rows)) < len(rows):
            twice = next(row for i, row in enumerate(rows) if row in rows[:i])
            raise ValueError(f"ids has {self._askable.ids[twice]!r} twice.")
        return np.array(rows, dtype=np.intp)


def _replaced(values: np.ndarray, rows: np.ndarray, by: Any) -> np.ndarray:
    """Return a copy with other values in some rows."""
    # Arrays of a mapped file cannot be written to, and copies of an evaluation share
    # theirs.
    values = np.array(values)
    values[rows] = by
    return values


def _check_options(goal: str, traffic: Any, random_share: float) -> None:
    if goal not in GOALS:
        raise ValueError(f"goal must be one of {', '.join(GOALS)}, got {goal!r}.")
    if traffic is not None and goal != "routing":
        raise ValueError(f"traffic is for goal='routing'; with {goal!r} leave it out.")
    if not 0 <= random_share <= 1:
        raise ValueError(f"random_share must lie in [0, 1], got {random_share!r}.")


def _targets_of(model: Any, target: AskableQueries) -> tuple[ResponseModel, np.ndarray]:
    """Return the parameters of the traffic, and weights that sum to one."""
    # In the order of digests: the first ones are a random sample.
    n = min(len(target), MAX_TARGETS)
    weights = target.counts[:n].astype(np.float64)
    some = target.queries.take(np.arange(n))
    return ResponseModel.of(model, some), weights / weights.sum()


def _plain(ids: Iterable) -> Sequence:
    """Return ids as plain Python objects, whatever holds them."""
    if hasattr(ids, "to_list"):
        return ids.to_list()
    return ids.tolist() if isinstance(ids, np.ndarray) else list(ids)


def _read_scores(scores: Any, n: int) -> np.ndarray:
    """Return scores as float64, NaN for those that failed."""
    if scores is None:
        return np.full(n, np.nan)
    cells = _plain(scores)
    if len(cells) != n:
        raise ValueError(f"There are {len(cells)} scores for {n} ids.")
    try:
        values = np.array([np.nan if s is None else s for s in cells], np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Scores must be numbers in [0, 1]: {error}.") from error
    wrong = ~(np.isnan(values) | ((values >= 0) & (values <= 1)))
    if wrong.any():
        raise ValueError(
            f"Scores must lie in [0, 1]; number {int(wrong.argmax())} is "
            f"{values[wrong][0]:g}."
        )
    return values
