"""Study what distances between embeddings say of how models differ, beside baselines.

    python examples/experiments/study_geometry.py
    python examples/experiments/study_geometry.py --report --seeds 5 --methods LOCUS

Every log is drawn several times. Distances from the training queries are compared with
the share of unseen test queries on which two models differ: "pearson"; "beyond", the
correlation of what is left of both once a quadratic in the difference of mean scores is
taken off; "beyond ability", the same for what a Rasch model (one number per model)
expects of two models; and "nearest", the agreement with the model that seems nearest.
"quarter" gives each model its own random quarter of the training queries; in "joined",
a quarter of the models was not in the fit and joins with 128 evaluations each. For
recognition, two fifths of the models are kept out of training and embedded twice, from
disjoint sets of 128 queries: "itself" is how often the nearest of the second set is the
model itself. "family" (where families are known) is how often the nearest other model
is of the same family.

Baselines: the difference of mean scores; Hamming distance of the answers (of common
queries); PCA and a random projection of the centred scores; what a Rasch model expects;
the factor model alone. `LOCUS` and `network` are the two geometries of `LocusEmbedder`;
both need a network to be trained, and `LOCUS` shows the same without one, since its
coordinates do not depend on the network. `neighbors` are the distances of
``LocusRouter.neighbors``, which add what the coordinates leave out. Without
``--report`` test halves are not read.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from evaluate import same_family
from joblib import Parallel, delayed, parallel_config
from options import SHARED_DATA
from protocol import (
    COMPLETE,
    SPARSE,
    Files,
    draw,
    frame,
    read_log,
    restrict,
    subsample,
)
from scipy.special import expit
from sklearn.metrics import pairwise_distances

from skl_locus import LocusEmbedder
from skl_locus._estimation.factors import FactorModel, fit_rasch
from skl_locus._locus.score_space import ScoreSpace
from skl_locus._routing.pool import compared_embeddings
from skl_locus.inspection import disagreement

LOGS = {
    "mmlu_pro": ("all", 1024),
    "zeroeval": ("complete", 1024),
    "bfcl": ("all", 800),
    "routerbench": ("all", 1024),
}
"""The pool of each log, and the number of training queries, or all there are."""

METHODS = (
    "mean score",
    "Rasch",
    "Hamming",
    "PCA",
    "projection",
    "factors",
    "LOCUS",
    "neighbors",
    "network",
)
NEEDS_TRAINING = ("network",)
N_COMPONENTS = 128
METRIC = "euclidean"
NEW_SHARE, NEW_QUERIES = 0.4, 128
QUARTER, JOINED = "quarter", "joined"
CELLS = {COMPLETE: COMPLETE, QUARTER: SPARSE, JOINED: COMPLETE}
JOINED_SHARE = 0.25
"""Of the models, which join after the fit with `NEW_QUERIES` evaluations each."""

MIN_COMMON = 30
SMALLEST_SPREAD = 1e-9
"""Standard deviation below which residuals are rounding."""


def main(arguments=None):
    options = parse_options(arguments)
    jobs = [
        (options, name, part, seed)
        for name in options.logs
        for part in ("geometry", "recognition")
        for seed in range(options.seeds if part == "geometry" else options.splits)
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        tables = Parallel(n_jobs=options.n_jobs)(delayed(study)(*job) for job in jobs)
    results = pd.concat(tables)
    keys = ["log", "cell", "method", "metric"]
    groups = results.groupby(keys, sort=False)["value"]
    summary = groups.agg(["mean", "std", "count"]).reset_index()
    if options.output:
        summary.to_csv(options.output, index=False)
    wide = summary.pivot_table(
        index=["log", "cell", "method"], columns="metric", values="mean", sort=False
    )
    print(wide.round(3).to_string())


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(LOGS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=2, help="draws of queries")
    parser.add_argument("--splits", type=int, default=20, help="draws of new models")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--report", action="store_true", help="read the test halves")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def study(options, name, part, seed):
    """Measure one draw of queries, or one split of the models, of a log."""
    pool, n_queries = LOGS[name]
    files = Files.in_folder(options.data / name, "minilm")
    log = restrict(read_log(files, report=options.report), pool, files)
    measure = geometry if part == "geometry" else recognition
    rows = measure(log, n_queries, seed, options.methods)
    columns = ["cell", "method", "metric", "value"]
    return pd.DataFrame(rows, columns=columns).assign(log=log.name)


def geometry(log, n_queries, seed, methods):
    """Compare distances from training queries with answers to test queries."""
    test = frame(log, log.test, log.scores[log.test])
    truth = disagreement(test, test["score"], min_common=MIN_COMMON)
    truth = truth.loc[log.models, log.models].to_numpy()
    means = np.nanmean(log.scores[log.test], axis=0)
    by_mean = np.abs(means[:, None] - means)
    rows = []
    for cell, kind in CELLS.items():
        drawn = draw(log, kind, n_queries, seed)
        seen, fitted = drawn.seen, np.ones(len(log.models), dtype=bool)
        if cell == JOINED:
            seen, fitted = joined(drawn.seen, seed)
        training = frame(log, drawn.train, seen)
        pool = frame(log, drawn.train, np.where(fitted, seen, np.nan))
        by_ability = rasch_distances(training)
        for method in methods:
            if method in NEEDS_TRAINING and cell != COMPLETE:
                continue
            distances = distances_of(method, training, pool, seen, seed)
            values = {
                "pearson": correlation(distances, truth),
                "beyond": partial_correlation(distances, truth, by_mean),
                "beyond ability": partial_correlation(distances, truth, by_ability),
                "nearest": nearest_agreement(distances, truth),
            }
            if "family" in log.details:
                families = log.details["family"].reindex(log.models).to_numpy()
                values["family"] = same_family(distances, families)[0]
            rows += [(cell, method, *item) for item in values.items()]
    return rows


def joined(seen, seed):
    """Leave few scores of a quarter of the models, and say which are of the fit."""
    rng = np.random.default_rng(seed)
    n_models = seen.shape[1]
    new = rng.permutation(n_models)[: round(JOINED_SHARE * n_models)]
    fitted = ~np.isin(np.arange(n_models), new)
    few = subsample(np.where(fitted, np.nan, seen), NEW_QUERIES, rng)
    return np.where(fitted, seen, few), fitted


def recognition(log, n_queries, seed, methods):
    """Embed new models twice and look for each among the others."""
    rng = np.random.default_rng(seed)
    n_models = len(log.models)
    new = np.sort(rng.permutation(n_models)[: round(NEW_SHARE * n_models)])
    old = np.setdiff1d(np.arange(n_models), new)
    drawn = draw(log, COMPLETE, n_queries, seed)
    order = rng.permutation(len(drawn.train))
    halves = order[:NEW_QUERIES], order[NEW_QUERIES : 2 * NEW_QUERIES]
    training = part_of(log, drawn, np.arange(len(drawn.train)), old)
    parts = [part_of(log, drawn, rows, new) for rows in halves]
    families = log.details.get("family")
    rows = []
    for method in methods:
        embedded = embed_new(method, training, parts, seed)
        if embedded is None:
            continue
        between = pairwise_distances(*embedded)
        hits = between.argmin(axis=1) == np.arange(len(new))
        rows.append((NEW_QUERIES, method, "itself", hits.mean()))
        if families is not None:
            own = families.reindex(log.models[new]).to_numpy()
            rows.append((NEW_QUERIES, method, "family", same_family(between, own)[0]))
    return rows


def part_of(log, drawn, rows, models):
    """Return the evaluations of some models on some of the training queries."""
    hidden = np.full(drawn.seen.shape, np.nan)
    cells = np.ix_(rows, models)
    hidden[cells] = drawn.seen[cells]
    return frame(log, drawn.train, hidden)


def embed_new(method, training, parts, seed):
    """Embed the models of two tables; None where a method cannot."""
    if method in ("Hamming", "PCA", "projection", "neighbors"):
        return None  # nothing in common, or nothing but a constant beside `LOCUS`
    if method == "mean score":
        return [part.groupby("model")["score"].mean().to_frame() for part in parts]
    if method == "network":
        embedder = LocusEmbedder(geometry="network", random_state=seed).fit(training)
        return [embedder.transform(part).to_numpy() for part in parts]
    reader = LocusEmbedder()
    log = read(reader, training, reset=True)
    sets = [read(reader, part, reset=False) for part in parts]
    if method == "LOCUS":
        space = ScoreSpace.fit(log, N_COMPONENTS)
        return [space.embed(some) for some in sets]
    model = FactorModel.fit(log)
    scores = [model.scores(some) for some in sets]
    if method == "Rasch":
        return [abilities[:, None] for abilities, _, _ in scores]
    return [model.expected_scores(own[0], own[1]) for own in scores]


def read(reader, table, *, reset):
    return reader._read_evaluations(table, table["score"], reset=reset)


def distances_of(method, training, pool, seen, seed):
    """Return the distances of a method between all models of a table, by label.

    What is learned is learned from the rows of the table that are in ``pool``.
    """
    if method == "mean score":
        means = np.nanmean(seen, axis=0)
        return np.abs(means[:, None] - means)
    if method == "Rasch":
        return rasch_distances(training)
    if method == "Hamming":
        return disagreement(training, training["score"]).to_numpy()
    if method in ("PCA", "projection"):
        return pairwise_distances(projected(seen, method, seed))
    if method == "network":
        embedder = LocusEmbedder(geometry="network", random_state=seed)
        return pairwise_distances(embedder.fit_transform(training))
    reader = LocusEmbedder()
    of_pool = read(reader, pool, reset=True)
    log = read(reader, training, reset=False)
    if method in ("LOCUS", "neighbors"):
        space = ScoreSpace.fit(of_pool, N_COMPONENTS)
        embeddings, left_out = space.embed_with_variances(log)
        if method == "LOCUS":
            return pairwise_distances(embeddings)
        return pairwise_distances(*compared_embeddings(embeddings, left_out, METRIC))
    model = FactorModel.fit(of_pool)
    abilities, factor_scores, _ = model.scores(log)
    return pairwise_distances(model.expected_scores(abilities, factor_scores))


def rasch_distances(training):
    """Return the share of different answers that ability and difficulty expect."""
    log = read(LocusEmbedder(), training, reset=True)
    abilities, easiness = fit_rasch(log)
    P = expit(abilities[:, None] + easiness)
    means = P.mean(axis=1)
    return means[:, None] + means - 2 * P @ P.T / P.shape[1]


def projected(seen, method, seed):
    """Project centred scores, their gaps filled by the means of query and model."""
    scores = seen.T
    overall = np.nanmean(scores)
    counts = np.isfinite(scores).sum(axis=0)
    sums = np.nansum(scores, axis=0)
    by_query = np.divide(
        sums, counts, out=np.full(len(sums), overall), where=counts > 0
    )
    filled = by_query + (np.nanmean(scores, axis=1, keepdims=True) - overall)
    scores = np.where(np.isnan(scores), filled, scores)
    scores = scores - scores.mean(axis=0)
    if method == "PCA":
        left, lengths, _ = np.linalg.svd(scores, full_matrices=False)
        return (left * lengths)[:, :N_COMPONENTS]
    shape = scores.shape[1], N_COMPONENTS
    return scores @ np.random.default_rng(seed).normal(size=shape)


def partial_correlation(first, second, other):
    """Correlate what a quadratic in other distances leaves of two tables."""
    return correlation(residual(first, other), residual(second, other))


def residual(table, other):
    """Take a quadratic in other distances off, pair by pair, where both are known."""
    pairs = np.triu_indices(len(table), 1)
    x, y = other[pairs], table[pairs]
    known = np.isfinite(x) & np.isfinite(y)
    X = np.column_stack([np.ones_like(x), x, x**2])
    rest = np.full(table.shape, np.nan)
    rest[pairs] = y - X @ np.linalg.lstsq(X[known], y[known], rcond=None)[0]
    return rest


def correlation(first, second):
    pairs = np.triu_indices(len(first), 1)
    x, y = first[pairs], second[pairs]
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 2:
        return np.nan
    if min(x[known].std(), y[known].std()) < SMALLEST_SPREAD:
        return 0.0  # nothing is left of what a baseline explains of itself
    return np.corrcoef(x[known], y[known])[0, 1]


def nearest_agreement(distances, truth):
    """Return how often a model agrees with the one that seems nearest to it."""
    unusable = np.eye(len(distances), dtype=bool) | np.isnan(distances)
    nearest = np.where(unusable, np.inf, distances).argmin(axis=1)
    return np.mean(1 - truth[np.arange(len(truth)), nearest])


if __name__ == "__main__":
    # Workers look functions up in a module that they can import by its name.
    from study_geometry import main as main_of_module

    main_of_module()
