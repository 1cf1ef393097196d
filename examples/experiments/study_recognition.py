"""Study how often models are recognised from some evaluations, beside baselines.

    python examples/experiments/study_recognition.py
    python examples/experiments/study_recognition.py --parts drift --splits 3

"identify": two fifths of the models are kept out of training and evaluated twice, on
one half of the training queries (stored, at most 512) and on 16 to 128 others (new).
"other" asks nothing that is stored; "quarter" and "shared" ask a quarter of the new
evaluations, or all, on stored queries; "unknown" asks queries that the whole pool has
never seen. Logs have one answer per query, so that answers given again are simulated:
three in ten are drawn anew with the share of right answers to the query among all
models. The number is how often the right model is first, ties shared.

Baselines: the difference of abilities (one number per model); Hamming distance on
queries asked twice; the distance of embeddings from all evaluations; the distance of
embeddings from matched pairs of evaluations, by which `identify` ranked before (slow,
left out by ``--fast``); and the likelihood without factors (Rasch). "likelihood" is
what `identify` ranks by.

"drift": every model of the pool is asked again on stored queries, a tenth of the
answers changed on both sides. "unchanged" is how often `drift_test` rejects at 5%;
"nearest" and "as able" are how often it notices that the model with the most equal
answers, or one with a near mean score, answers instead. "network" and "factors" are
directions in which the sides are compared; "mean score" looks at nothing else.

"duplicates": up to ten models of the pool get a twin. "shared" twins answer the
model's own queries, a tenth of the answers changed on both sides; "other" twins have
one half of the model's evaluations and the model the other. "kept" is how often
`find_duplicates` does not tell twins apart, among those that it looked at, "told apart"
the share of the other pairs that it looked at which it does, "nearest" how often the
twin is the nearest model, and "nearest mean" how often it has the nearest mean score.
Without ``--report`` test halves are not read.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from options import SHARED_DATA
from protocol import COMPLETE, Files, draw, frame, read_log, restrict
from sklearn.metrics import pairwise_distances
from study_geometry import LOGS, N_COMPONENTS, NEW_SHARE, read

from skl_locus import LocusEmbedder, LocusRouter
from skl_locus._locus.known_models import KnownModels
from skl_locus._locus.score_space import ScoreSpace
from skl_locus._routing.access import known_models
from skl_locus._routing.unwrap import known_evaluations
from skl_locus.inspection import _permutation, find_duplicates, model_distances
from skl_locus.inspection._likelihood import log_likelihoods, stored_scores
from skl_locus.inspection._matched_pairs import (
    TooFewEvaluationsError,
    pair_evaluations,
    pseudo_models,
    shared_or_all,
)

SIZES = (16, 32, 64, 128)
SHARED_PARTS = {"other": 0.0, "quarter": 0.25, "shared": 1.0, "unknown": 0.0}
MAX_STORED = 512
REDRAWN = 0.3
"""Share of answers that are drawn anew when a query is asked again."""

CHANGED = 0.1
"""Share of answers that are changed on both sides of drift tests."""

N_NEW = (64, 128)
N_ABLE = 5
"""Models with the nearest mean scores, of which one takes the place of a model."""

N_TWINS = 10
TWIN = "twin of "
N_RESAMPLES = 99
ALPHA = 0.05
NETWORK = {"max_iter": 200, "local_evidence": False}
"""Parameters of the routers in drift tests, where evidence has no part."""


def main(arguments=None):
    options = parse_options(arguments)
    jobs = [
        (options, name, part, seed)
        for name in options.logs
        for part in options.parts
        for seed in range(options.splits)
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        tables = Parallel(n_jobs=options.n_jobs)(delayed(study)(*job) for job in jobs)
    results = pd.concat(tables)
    keys = ["part", "log", "cell", "size", "method"]
    groups = results.groupby(keys, sort=False)["value"]
    summary = groups.agg(["mean", "count"]).reset_index()
    if options.output:
        summary.to_csv(options.output, index=False, float_format="%.4f")
    wide = summary.pivot_table(
        index=keys[:-1], columns="method", values="mean", sort=False
    )
    print(wide.round(3).to_string())


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(LOGS), metavar="NAME")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--splits", type=int, default=10, help="draws of new models")
    parser.add_argument("--fast", action="store_true", help="leave out matched pairs")
    parser.add_argument("--report", action="store_true", help="read the test halves")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def study(options, name, part, seed):
    """Measure one split of a log: one row per model that was looked for or tested."""
    pool, n_queries = LOGS[name]
    files = Files.in_folder(options.data / name, "minilm")
    log = restrict(read_log(files, report=options.report), pool, files)
    drawn = draw(log, COMPLETE, n_queries, seed)
    rows = PARTS[part](log, drawn, seed, options.fast)
    columns = ["cell", "size", "method", "value"]
    return pd.DataFrame(rows, columns=columns).assign(log=log.name, part=part)


def identify_new_models(log, drawn, seed, fast):
    rng = np.random.default_rng(seed)
    n_models, n_queries = len(log.models), len(drawn.train)
    is_new = np.isin(
        np.arange(n_models), rng.permutation(n_models)[: round(NEW_SHARE * n_models)]
    )
    space = ScoreSpace.fit(
        as_log(log, drawn.train, np.where(is_new, np.nan, drawn.seen)), N_COMPONENTS
    )
    seen = np.where(is_new, drawn.seen, np.nan)
    order = rng.permutation(n_queries)
    stored, others = np.split(order, [min(MAX_STORED, n_queries // 2)])
    known = KnownModels.of(space.model, as_log(log, drawn.train[stored], seen[stored]))
    rows = []
    for cell, part in SHARED_PARTS.items():
        for size in SIZES:
            shared = rng.permutation(stored)[: round(part * size)]
            fresh = rng.permutation(others)[: size - len(shared)]
            asked = np.concatenate([drawn.train[shared], drawn.train[fresh]])
            scores = np.concatenate([asked_again(drawn, shared, rng), seen[fresh]])
            if cell == "unknown":
                asked = rng.permutation(drawn.test)[:size]
                scores = log.scores[asked]
            scores = np.where(is_new, scores, np.nan)
            new = as_log(log, asked, scores)
            for method, closeness in closeness_of(space, known, new, fast).items():
                hits = first_is_right(closeness, new.model_names, known)
                rows += [(cell, size, method, hit) for hit in hits]
    return rows


def as_log(log, rows, scores):
    return read(LocusEmbedder(), frame(log, rows, scores), reset=True)


def asked_again(drawn, rows, rng):
    """Answer queries again, some by chance."""
    scores = drawn.seen[rows]
    shape = scores.shape
    means = np.nanmean(drawn.seen[rows], axis=1, keepdims=True)
    by_chance = (rng.random(shape) < means).astype(float)
    return np.where(rng.random(shape) < REDRAWN, by_chance, scores)


def closeness_of(space, known, new, fast):
    """Return tables (n_new, n_known) of each method, larger for more alike."""
    abilities = space.model.scores(new)[0]
    embedded = space.embed(new), space.embed(known.evaluations)
    plain = np.zeros_like(known.factor_scores)
    tables = {
        "ability": -np.abs(abilities[:, None] - known.abilities),
        "Hamming": agreement(known, new),
        "embedding": -pairwise_distances(*embedded),
        "Rasch likelihood": likelihoods(known, new, plain),
        "likelihood": likelihoods(known, new, known.factor_scores),
    }
    if not fast:
        stored = single(known.evaluations)
        rows = [[matched(space, one, other) for other in stored] for one in single(new)]
        tables["matched"] = np.array(rows)
    return tables


def agreement(known, new):
    """Return shares of equal answers to the queries that were asked twice."""
    first, second = (
        stored_scores(each, new.queries) for each in (new, known.evaluations)
    )
    differences = np.abs(first[:, None] - second)
    counts = np.isfinite(differences).sum(axis=2)
    sums = np.nansum(differences, axis=2)
    return np.where(counts > 0, 1 - sums / np.maximum(counts, 1), np.nan)


def single(evaluations):
    return [evaluations.only_models([name]) for name in evaluations.model_names]


def matched(space, new, known):
    """Embed matched pairs of evaluations: minus the distance, NaN without pairs."""
    try:
        pairs = pair_evaluations(shared_or_all(new, known), known)
    except TooFewEvaluationsError:
        return np.nan
    sets = pseudo_models(pairs.queries, pairs.codes, pairs.scores)
    first, second = space.embed(sets)
    return -np.linalg.norm(first - second)


def likelihoods(known, new, factor_scores):
    expected = known.model.expected_scores(known.abilities, factor_scores, new.queries)
    places = new.queries.keys
    rows = []
    for one in single(new):
        own = np.searchsorted(places, one.queries.keys)
        rows.append(log_likelihoods(one, known.evaluations, expected[:, own]))
    return np.array(rows)


def first_is_right(closeness, names, known):
    """Return for each new model whether it is first; several firsts share the one."""
    closeness = np.where(np.isnan(closeness), -np.inf, closeness)
    if np.isneginf(closeness).all():
        return []
    is_first = closeness == closeness.max(axis=1, keepdims=True)
    right = known.evaluations.index_of(names)
    return is_first[np.arange(len(names)), right] / is_first.sum(axis=1)


def detect_drift(log, drawn, seed, fast):
    rng = np.random.default_rng(seed)
    table = frame(log, drawn.train, changed(drawn.seen, rng))
    router = LocusRouter(**{"random_state": seed} | NETWORK)
    router.fit(table, table["score"])
    known = known_models(router)
    differences = pairwise_distances(np.nan_to_num(drawn.seen.T), metric="cityblock")
    np.fill_diagonal(differences, np.inf)
    means = np.nanmean(drawn.seen, axis=0)
    rows = []
    for model, name in enumerate(log.models):
        as_able = np.argsort(np.abs(means - means[model]))[1 : 1 + N_ABLE]
        answering = {
            "unchanged": model,
            "nearest": differences[model].argmin(),
            "as able": rng.choice(as_able),
        }
        for size in N_NEW:
            for cell, other in answering.items():
                both = np.isfinite(drawn.seen[:, [model, other]]).all(axis=1)
                asked = rng.permutation(np.flatnonzero(both))[:size]
                scores = np.full((len(asked), len(log.models)), np.nan)
                scores[:, model] = changed(drawn.seen[asked, other], rng)
                new = read(router, frame(log, drawn.train[asked], scores), reset=False)
                own = known_evaluations(router, name)
                pairs = pair_evaluations(shared_or_all(new, own), own)
                alarms = alarms_of(router, known, pairs, [name], rng)
                rows += [(cell, size, *alarm) for alarm in alarms.items()]
    return rows


def changed(scores, rng):
    return np.where(rng.random(scores.shape) < CHANGED, 1 - scores, scores)


def alarms_of(router, known, pairs, compared, rng):
    """Say of each kind of directions whether the test rejects along them."""
    effects = {
        "mean score": pairs.score_differences[:, None],
        "network": _permutation._effects_on_embedding(router, pairs, compared),
        "factors": _permutation._effects_on_scores(known, pairs, compared),
    }
    draws = np.random.RandomState(rng.integers(2**31))
    alarms = {}
    for name, one in effects.items():
        statistic, null = _permutation._statistics(one, N_RESAMPLES, draws)
        alarms[name] = _permutation.p_value_of(statistic, null) <= ALPHA
    return alarms


def find_twins(log, drawn, seed, fast):
    rng = np.random.default_rng(seed)
    rows = []
    for cell in ("shared", "other"):
        twins = rng.permutation(len(log.models))[:N_TWINS]
        seen, theirs = with_twins(drawn.seen, twins, cell, rng)
        router = LocusRouter(**{"random_state": seed} | NETWORK)
        table = frame(log, drawn.train, seen)
        router.fit(table, table["score"])
        table = frame(log, drawn.train, theirs)
        table["model"] = TWIN + table["model"]
        router.add_models(table, table["score"])
        rows += [(cell, len(drawn.train), *row) for row in twins_found(router, seed)]
        means = np.nanmean(seen, axis=0), np.nanmean(theirs[:, twins], axis=0)
        gaps = np.abs(means[1][:, None] - means[0])
        hits = gaps.argmin(axis=1) == twins
        rows += [(cell, len(drawn.train), "nearest mean", hit) for hit in hits]
    return rows


def with_twins(seen, twins, cell, rng):
    """Return the scores of the pool, and of twins in the columns of their models."""
    has_twin = np.isin(np.arange(seen.shape[1]), twins)
    if cell == "shared":
        own, theirs = changed(seen, rng), changed(seen, rng)
    else:
        is_own = rng.random(seen.shape) < 0.5
        own = np.where(is_own | ~has_twin, seen, np.nan)
        theirs = np.where(is_own, np.nan, seen)
    return own, np.where(has_twin, theirs, np.nan)


def twins_found(router, seed):
    """Say of each pair that was tested whether it was told apart."""
    pairs = find_duplicates(router, random_state=seed)
    are_twins = pairs["model_b"] == TWIN + pairs["model_a"]
    are_twins |= pairs["model_a"] == TWIN + pairs["model_b"]
    kept = pairs["not_told_apart"]
    rows = [("kept", twin) for twin in kept[are_twins]]
    rows += [("told apart", not other) for other in kept[~are_twins]]
    nearest = neighbors_of(router)
    twins = [name for name in nearest.index if str(name).startswith(TWIN)]
    return rows + [("nearest", TWIN + nearest[name] == name) for name in twins]


def neighbors_of(router):
    """Return the nearest model of each, itself left out."""
    distances = model_distances(router)
    matrix = distances.to_numpy() + np.diag(np.full(len(distances), np.inf))
    return pd.Series(distances.columns[matrix.argmin(axis=1)], distances.index)


PARTS = {
    "identify": identify_new_models,
    "drift": detect_drift,
    "duplicates": find_twins,
}


if __name__ == "__main__":
    # Workers look functions up in a module that they can import by its name.
    from study_recognition import main as main_of_module

    main_of_module()
