"""Recognition of known models behind other names, and of changed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._routing.access import (
    embedding_pool,
    known_models,
    read_unnamed_model,
)
from skl_locus._routing.unwrap import known_evaluations, stored_evaluations
from skl_locus._utils.model_frames import model_index
from skl_locus._utils.progress import progress_bar, progress_shown
from skl_locus._utils.validation import check_at_least
from skl_locus.inspection._likelihood import log_likelihoods
from skl_locus.inspection._matched_pairs import (
    MatchedPairs,
    TooFewEvaluationsError,
    limited,
    pair_evaluations,
    shared_or_all,
    under_known_ids,
)
from skl_locus.inspection._permutation import DriftTest, swap_test

TEST_COLUMNS = ["distance", "p_value", "agreement", "n_pairs", "n_shared"]


def drift_test(
    router: Any,
    model: Any,
    X: Any,
    y: Any,
    *,
    n_resamples: int = 999,
    max_evaluations: int = 1024,
    random_state: int | np.random.RandomState | None = None,
) -> DriftTest:
    """Test whether new evaluations of a model are those of the model as it was.

    Each new evaluation is paired with one that the router keeps of the model, on the
    same query. Where fewer than 32 queries are shared, all new evaluations are used,
    the others paired with one on a query of the same cluster. If nothing has
    changed, the two of a pair can be swapped. The statistic is ``d' S^-1 d`` with
    d the sum of the differences of the pairs along some directions, and S the
    (slightly enlarged) covariance of d under swaps. It is held against its values
    after random swaps: ``p = (1 + #{as large}) / (n_resamples + 1)``.

    If all pairs are on shared queries, the directions are those of a factor model:
    ability, which weighs all queries alike, and factor scores, which weigh them by
    the factors that the other models' evaluations show. Else they are the directions
    of the network's embedding in which the router's other models differ most, to
    first order in the exchange of each pair, together with the mean score.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    model : label
        A model of the router.
    X : dataframe or array of n_rows rows
        New evaluations, in the form that the router takes. A model column may be
        missing; if present, it holds one label, whichever.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    n_resamples : int, default=999
        Number of random swaps; the smallest p-value is 1 / (n_resamples + 1).
    max_evaluations : int, default=1024
        Of more new evaluations, this number is drawn.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.

    Returns
    -------
    DriftTest
        With ``p_value``, ``statistic``, ``distance``, ``agreement``, ``n_pairs``,
        ``n_shared`` and ``null``.

    Raises
    ------
    ValueError
        If the model is unknown, X has several models, or the model has less than
        two evaluations left for each new one on a query that it has not answered.

    Notes
    -----
    The null is the same model, evaluated again: other queries, or other answers to
    the same ones. On shared queries the test holds for any choice of queries. On
    others it needs queries that the known ones resemble: pairs on dissimilar
    queries differ for other reasons. A p-value that is not small is no proof that
    nothing has changed: more evaluations see smaller changes, and no number of them
    sees a change along none of the directions. In particular, two models that are
    equally good at everything and err on different queries may not be told apart by
    it, but by ``agreement``.

    A query of X is a known one if it has its id or, under another id, exactly its
    encoding.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import drift_test
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> again = log[log["model"] == "model-0"]
    >>> drift_test(router, "model-0", again, again["score"]).p_value
    1.0
    """
    check_at_least(n_resamples, "n_resamples")
    check_at_least(max_evaluations, "max_evaluations")
    rng = check_random_state(random_state)
    embedding_pool(router)
    known = known_evaluations(router, model)
    newcomer = shared_or_all(_read_newcomer(router, X, y), known)
    pairs = pair_evaluations(limited(newcomer, max_evaluations, rng), known)
    others = known_models(router)
    return swap_test(router, others, pairs, [model], n_resamples, rng)


def identify(
    router: Any,
    X: Any,
    y: Any,
    *,
    models: Any = None,
    n_resamples: int = 999,
    max_evaluations: int = 1024,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Rank the known models by how likely they are to be an unknown endpoint.

    Models are ranked by the likelihood of the evaluations if they were the model's. On
    a query that the model has not answered, it is right with the probability that a
    factor model (ability and factor scores, from all its stored evaluations) gives. On
    one that it has, it repeats its answer with a probability that is unknown, the same
    on all queries, and averaged over. Beside it stands the p-value of `drift_test` for
    each model.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    X : dataframe or array of n_rows rows
        Evaluations of the endpoint, in the form that the router takes. A model
        column may be missing; if present, it holds one label, whichever.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    models : collection of labels, default=None
        Candidates; None means all models.
    n_resamples : int, default=999
        Number of random swaps; the smallest p-value is 1 / (n_resamples + 1).
    max_evaluations : int, default=1024
        Of more new evaluations, this number is drawn for the test. The likelihood
        takes all.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.
    verbose : int, default=0
        1 shows a progress bar on standard error if it takes more than two seconds.

    Returns
    -------
    DataFrame of shape (n_candidates, 6)
        Indexed by model, most likely first. Columns distance (Euclidean, between the
        embeddings of the evaluations and of those of the candidate that they are
        matched with), p_value (small: not this model), agreement (on shared
        queries), n_pairs and n_shared as in `drift_test`, and log_likelihood (natural,
        of all evaluations together; for graded scores, minus the cross-entropy).
        Candidates with too few evaluations are last, all NaN.

    Raises
    ------
    ValueError
        If X has several models, or no candidate has two evaluations left for each
        new one on a query that it has not answered.

    Notes
    -----
    Several candidates can have p-values that are not small: they cannot be told
    apart from the endpoint with this number of evaluations. If all are small, it is
    none of them. P-values are not adjusted for the number of candidates.

    The ranking answers which candidate it is if it is one of them, the p-values whether
    it may be. The difference of two log-likelihoods is the logarithm of the odds
    between two candidates; with many evaluations on queries that were not answered
    before, real odds are less extreme. A candidate's likelihood depends on no other
    candidate.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import identify
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> unknown = log[log["model"] == "model-3"].drop(columns="model")
    >>> identify(router, unknown, unknown["score"], random_state=0).index[0]
    'model-3'
    """
    check_at_least(n_resamples, "n_resamples")
    check_at_least(max_evaluations, "max_evaluations")
    rng = check_random_state(random_state)
    pool = embedding_pool(router)
    newcomer = _read_newcomer(router, X, y)
    candidates = {
        name: _pairs_or_none(router, newcomer, name, max_evaluations, rng)
        for name in pool.models[pool.select(models)]
    }
    if all(pairs is None for pairs in candidates.values()):
        raise ValueError(
            f"No candidate has enough evaluations to compare {len(newcomer)} new ones "
            "with; pass fewer, or evaluate on queries of the router's log."
        )
    known = known_models(router)
    rows = []
    with (
        progress_shown(verbose),
        progress_bar("identify", len(candidates), unit="model") as bar,
    ):
        for name, pairs in candidates.items():
            rows.append(_candidate(router, known, name, pairs, n_resamples, rng))
            bar.advance()
    index = model_index(list(candidates), router.model_col)
    table = pd.DataFrame(rows, index, TEST_COLUMNS)
    table["log_likelihood"] = _likelihoods(known, newcomer, candidates)
    order = table["log_likelihood"].to_numpy()
    return table.iloc[np.argsort(-order, kind="stable")]


def _read_newcomer(router: Any, X: Any, y: Any) -> EvaluationSet:
    newcomer = read_unnamed_model(router, X, y)
    return under_known_ids(newcomer, stored_evaluations(router).queries)


def _likelihoods(
    known: Any, newcomer: EvaluationSet, candidates: dict[Any, MatchedPairs | None]
) -> np.ndarray:
    """Rate the candidates; NaN for those that the newcomer was not paired with."""
    is_tested = np.array([pairs is not None for pairs in candidates.values()])
    names = [name for name, pairs in candidates.items() if pairs is not None]
    stored = known.evaluations.only_models(names)
    expected = known.expected_scores(stored.model_names, newcomer.queries)
    rated = np.full(len(candidates), np.nan)
    likelihoods = log_likelihoods(newcomer, stored, expected)
    rated[is_tested] = likelihoods[stored.index_of(names)]
    return rated


def _pairs_or_none(
    router: Any,
    newcomer: EvaluationSet,
    model: Any,
    limit: int,
    rng: np.random.RandomState,
) -> MatchedPairs | None:
    known = known_evaluations(router, model)
    try:
        rows = limited(shared_or_all(newcomer, known), limit, rng)
        return pair_evaluations(rows, known)
    except TooFewEvaluationsError:
        return None


def _candidate(
    router: Any,
    known: Any,
    name: Any,
    pairs: MatchedPairs | None,
    n_resamples: int,
    rng: np.random.RandomState,
) -> tuple[float, ...]:
    if pairs is None:
        return (np.nan,) * len(TEST_COLUMNS)
    test = swap_test(router, known, pairs, [name], n_resamples, rng)
    return tuple(getattr(test, column) for column in TEST_COLUMNS)
