"""A synthetic evaluation log with known families, tasks and probabilities."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.utils import Bunch, check_random_state, check_scalar
from sklearn.utils.extmath import row_norms

from skl_locus.datasets._base import long_table

# Spread of a task's queries around the task's centre, which has length one.
_TASK_SPREAD = 0.5
# Standard deviation of the abilities of models, in logits.
_ABILITY_SPREAD = 0.5
# Random part of a family's profile, relative to its specialization: it makes
# families differ that are strong on the same tasks.
_FAMILY_TASTE = 0.25
# A cost doubles with every step of this many logits of ability.
_LOGITS_PER_DOUBLING = 0.5
# Pseudo-observations behind a graded score: larger means closer to P.
_GRADE_CONCENTRATION = 4.0
_GRADE_STEPS = 10

_DESCR = """\
Synthetic evaluations: {n_models} models of {n_families} families on {n_queries} queries
of {n_tasks} tasks, {n_evaluations} evaluations with {kind} scores.

logit P(model, query) = ability(model) + strength(family of model, task of query)
                        - difficulty(query)
"""


def make_evaluations(
    n_models: int = 24,
    n_queries: int = 400,
    *,
    n_tasks: int = 4,
    n_families: int = 4,
    n_features: int = 16,
    observed: float = 1.0,
    graded: bool = False,
    specialization: float = 3.0,
    noise: float = 0.5,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate the evaluation log of a pool of models with a known structure.

    The probability that a model answers a query correctly has the logit ::

        ability(model) + strength(family, task) - difficulty(query)

    Tasks are clusters of the query encodings. Every family is strong on its own
    tasks. Difficulties have a part that is linear in the encoding, with standard
    deviation one, and a part that is independent of the encoding.

    Parameters
    ----------
    n_models : int, default=24
        Number of models, at least `n_families`.
    n_queries : int, default=400
        Number of queries, at least `n_tasks`.
    n_tasks : int, default=4
        Number of tasks, of equal size up to one query.
    n_families : int, default=4
        Number of families, of equal size up to one model. Families beyond
        `n_tasks` are strong on the same tasks as others and differ in detail.
    n_features : int, default=16
        Length of a query encoding.
    observed : float, default=1.0
        Fraction in (0, 1] of the queries that each model has been evaluated on: its
        own random subset of at least one query. With the same `random_state`,
        a smaller fraction only removes rows.
    graded : bool, default=False
        If True, a score is drawn from a Beta distribution with the mean P and
        rounded to a multiple of 0.1; otherwise it is 1.0 with probability P,
        else 0.0.
    specialization : float, default=3.0
        How much better, in logits, a family is on its strong tasks than on the
        others. With 0 there are no families to be found.
    noise : float, default=0.5
        Standard deviation, in logits, of the part of a query's difficulty that is
        independent of its encoding.
    random_state : int, RandomState instance or None, default=None
        Determines everything.

    Returns
    -------
    pool : :class:`~sklearn.utils.Bunch`
        With the attributes

        evaluations : DataFrame
            One row per evaluation: model, query (1-D float32 array; rows with the
            same query share one array object), query_id, task, score and cost.
        models : DataFrame of n_models rows
            Indexed by model: family, ability (logits) and cost (any currency per
            query; it rises with ability).
        queries : DataFrame of n_queries rows
            query_id, task and difficulty (logits).
        encodings : ndarray of shape (n_queries, n_features)
            float32 vectors of length one, in the order of `queries`.
        probabilities : ndarray of shape (n_queries, n_models)
            True P(correct), columns in the order of `models`.
        DESCR : str
            Description.

    Examples
    --------
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=6, n_queries=50, observed=0.5, random_state=0)
    >>> pool.evaluations.shape
    (150, 6)
    >>> pool.probabilities.shape
    (50, 6)
    >>> pool.models["family"].nunique()
    4
    """
    _check_parameters(
        n_models, n_queries, n_tasks, n_families, n_features, observed, graded
    )
    _check_logits(specialization, "specialization")
    _check_logits(noise, "noise")
    rng = check_random_state(random_state)

    task = rng.permutation(np.arange(n_queries) % n_tasks)
    family = np.arange(n_models) % n_families
    encodings, offsets = _make_encodings(task, n_tasks, n_features, rng)
    difficulty = _make_difficulty(offsets, noise, rng)
    strength = _make_strength(n_families, n_tasks, specialization, rng)
    ability = rng.normal(scale=_ABILITY_SPREAD, size=n_models)
    probabilities = expit(ability + strength[family][:, task].T - difficulty[:, None])

    models = _describe_models(family, ability)
    queries = _describe_queries(task, difficulty)
    is_observed = _choose_observed(n_queries, n_models, observed, rng)
    scores = _draw_scores(probabilities, graded, rng)
    evaluations = _observed_table(models, queries, encodings, scores, is_observed)
    return Bunch(
        evaluations=evaluations,
        models=models,
        queries=queries,
        encodings=encodings,
        probabilities=probabilities,
        DESCR=_DESCR.format(
            n_models=n_models,
            n_families=n_families,
            n_queries=n_queries,
            n_tasks=n_tasks,
            n_evaluations=len(evaluations),
            kind="graded" if graded else "0/1",
        ),
    )


def _check_parameters(
    n_models: int,
    n_queries: int,
    n_tasks: int,
    n_families: int,
    n_features: int,
    observed: float,
    graded: bool,
) -> None:
    check_scalar(n_tasks, "n_tasks", Integral, min_val=1)
    check_scalar(n_families, "n_families", Integral, min_val=1)
    check_scalar(n_features, "n_features", Integral, min_val=1)
    check_scalar(n_models, "n_models", Integral)
    check_scalar(n_queries, "n_queries", Integral)
    check_scalar(observed, "observed", Real)
    check_scalar(graded, "graded", (bool, np.bool_))
    if n_models < n_families:
        raise ValueError(f"n_models={n_models} is less than n_families={n_families}.")
    if n_queries < n_tasks:
        raise ValueError(f"n_queries={n_queries} is less than n_tasks={n_tasks}.")
    if not 0 < observed <= 1:
        raise ValueError(f"observed={observed} is not in (0, 1].")


def _check_logits(value: float, name: str) -> None:
    check_scalar(value, name, Real)
    if not 0 <= value < np.inf:
        raise ValueError(f"{name}={value} is not a finite number of at least 0.")


def _make_encodings(
    task: np.ndarray, n_tasks: int, n_features: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors around the tasks' centres, and their raw offsets."""
    centres = _unit_rows(rng.normal(size=(n_tasks, n_features)))
    offsets = rng.normal(size=(len(task), n_features))
    vectors = centres[task] + _TASK_SPREAD * offsets / np.sqrt(n_features)
    return _unit_rows(vectors).astype(np.float32), offsets


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    return vectors / row_norms(vectors)[:, None]


def _make_difficulty(
    offsets: np.ndarray, noise: float, rng: np.random.RandomState
) -> np.ndarray:
    direction = _unit_rows(rng.normal(size=(1, offsets.shape[1])))[0]
    return offsets @ direction + noise * rng.normal(size=len(offsets))


def _make_strength(
    n_families: int, n_tasks: int, specialization: float, rng: np.random.RandomState
) -> np.ndarray:
    """Return logits (n_families, n_tasks) with a mean of zero per family."""
    families, tasks = np.ogrid[:n_families, :n_tasks]
    is_strong = families % n_tasks == tasks % n_families
    profile = is_strong + _FAMILY_TASTE * rng.normal(size=is_strong.shape)
    return specialization * (profile - profile.mean(axis=1, keepdims=True))


def _describe_models(family: np.ndarray, ability: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "family": [f"family-{number}" for number in family],
            "ability": ability,
            "cost": np.exp2(ability / _LOGITS_PER_DOUBLING),
        },
        index=pd.Index(_numbered("model", len(family)), name="model"),
    )


def _describe_queries(task: np.ndarray, difficulty: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": _numbered("query", len(task)),
            "task": [f"task-{number}" for number in task],
            "difficulty": difficulty,
        }
    )


def _numbered(prefix: str, count: int) -> list[str]:
    """Return labels whose alphabetical order is the order of their numbers."""
    width = len(str(count - 1))
    return [f"{prefix}-{number:0{width}d}" for number in range(count)]


def _choose_observed(
    n_queries: int, n_models: int, observed: float, rng: np.random.RandomState
) -> np.ndarray:
    """Return a mask of the same number of queries per model, nested in `observed`."""
    n_observed = max(1, round(observed * n_queries))
    rank = rng.uniform(size=(n_queries, n_models)).argsort(axis=0).argsort(axis=0)
    return rank < n_observed


def _draw_scores(
    probabilities: np.ndarray, graded: bool, rng: np.random.RandomState
) -> np.ndarray:
    if not graded:
        return (rng.uniform(size=probabilities.shape) < probabilities).astype(float)
    successes = _GRADE_CONCENTRATION * probabilities
    grades = rng.beta(successes, _GRADE_CONCENTRATION - successes)
    return np.round(grades * _GRADE_STEPS) / _GRADE_STEPS


def _observed_table(
    models: pd.DataFrame,
    queries: pd.DataFrame,
    encodings: np.ndarray,
    scores: np.ndarray,
    is_observed: np.ndarray,
) -> pd.DataFrame:
    table = long_table(models.index, queries, encodings, scores)
    table["cost"] = models["cost"].repeat(len(queries)).to_numpy()
    return table[is_observed.T.ravel()].reset_index(drop=True)
