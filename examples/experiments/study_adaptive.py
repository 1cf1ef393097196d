"""Study how few evaluations of a new model are enough if they are chosen.

    python examples/experiments/study_adaptive.py
    python examples/experiments/study_adaptive.py --report --draws 3

Four rotations hold out a quarter of the models each. A router is fitted without them
on up to 1024 queries; each of them is then evaluated on some of these queries, chosen
in several ways, and added. Measured are

- "log loss" of P on unseen queries, and "routing", the mean score of the models that
  the whole pool's decisions choose; from the table of evaluations ("observed"), from
  the same without the completed regressions of `add_models` ("plain"), and from the
  table with expected scores on the queries that were not asked ("completed", the same
  for all choices; in pools of less than 16 models it is the observed one);
- "mean error", of the estimated mean score over all queries that could be asked, with
  the same completion for every choice, and "covered", how often its 90% interval holds;
- "first", how often a known model is recognised. All models are candidates, known by
  half of the queries, and asked on the other half.

Choices: "random"; "by cluster" and "by task", random within strata; "D-optimal", one
set for all models; "anchors", `select_queries`; "spread", `AdaptiveEvaluation` with all
queries drawn; "routing", "score" and "identity", its goals. Draws differ in all that is
random but the fit. Intervals of paired differences are by model (normal, 95%).
Without ``--report`` test halves are not read.
"""

import argparse
import copy
import time
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from options import SHARED_DATA
from protocol import COMPLETE, Files, draw, frame, read_log, restrict

from skl_locus import LocusRouter
from skl_locus._estimation.clusters import QueryClusters
from skl_locus.adaptive import AdaptiveEvaluation, LearningCurveDisplay
from skl_locus.adaptive._batches import Batch
from skl_locus.adaptive._criteria import DeterminantCriterion
from skl_locus.adaptive._evaluation import DROPPED, MIN_POOL
from skl_locus.adaptive._mean_score import mean_score
from skl_locus.adaptive._particles import log_weights
from skl_locus.adaptive._spread import central_rows
from skl_locus.datasets import get_data_home

LOGS = {
    "mmlu_pro": ("all", 1024),
    "zeroeval": ("complete", 1024),
    "bfcl": ("all", 800),
    "routerbench": ("all", 1024),
}
"""The pool of each log, and the number of training queries, or all there are."""

N_ROTATIONS = 4
ROTATION_SEED = 1000
VERSION = 2
"""To be raised with what changes results, which are kept."""

SIZES = (16, 32, 64, 100, 128, 256)
IDENTITY_SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192)
IDENTITY_BATCH = 8
MAX_SHARE = 0.7
"""Sizes above this share of the queries say nothing of a choice."""

ADAPTIVE = ("routing", "score", "spread")
BATCH = 16
N_CLUSTERS = 16
ROUTER = {"random_state": 0}
TIMED_ROUTER = {
    "n_components": 16,
    "max_iter": 1,
    "local_evidence": False,
    "random_state": 0,
}
"""For the time of an ask, in which the network has no part."""

MAIN_TABLES = (
    ("random", "plain"),
    ("random", "observed"),
    ("random", "completed"),
    ("routing", "observed"),
    ("routing", "completed"),
)
"""Measured at all sizes; the rest at one, to be frugal."""

OTHER_TABLES = (
    ("spread", "completed"),
    ("score", "completed"),
    ("by cluster", "completed"),
    ("by task", "completed"),
    ("D-optimal", "completed"),
    ("anchors", "completed"),
)
OTHER_SIZE = 32
CLIP = 1e-6


def main(arguments=None):
    options = parse_options(arguments)
    jobs = [
        (options, name, rotation, seed)
        for seed in range(options.draws)
        for rotation in range(options.rotations)
        for name in options.logs
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        parts = Parallel(n_jobs=options.n_jobs)(delayed(study)(*job) for job in jobs)
    results = pd.concat(parts, ignore_index=True)
    if options.raw:
        results.to_pickle(options.raw)
    summary = summarise(results)
    compared = compare(results)
    if options.output:
        pd.concat([summary, compared]).to_csv(
            options.output, index=False, float_format="%.4f"
        )
    if options.picture:
        draw_curves(summary, options.picture)
    show(summary, compared, results)
    print(f"\nask(32) among 12,000 queries, 100 models: {time_ask():.2f} s")


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--logs", nargs="+", default=list(LOGS), metavar="NAME")
    parser.add_argument("--rotations", type=int, default=N_ROTATIONS)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="read the test halves")
    parser.add_argument("--fast", action="store_true", help="leave out the router's P")
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--raw", type=Path, metavar="FILE", help="all values")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="of log loss")
    parser.add_argument(
        "--cache", type=Path, default=Path(get_data_home()) / "experiments"
    )
    return parser.parse_args(arguments)


def study(options, name, rotation, seed):
    """Measure one draw of one rotation of a log: kept, to go on after a break."""
    pool, n_queries = LOGS[name]
    files = Files.in_folder(options.data / name, "minilm")
    log = restrict(read_log(files, report=options.report), pool, files)
    about = [VERSION, log.fingerprint, rotation, seed, options.fast, SIZES, ROUTER]
    path = options.cache / f"adaptive-{joblib.hash(about)}.pkl"
    if path.exists():
        return pd.read_pickle(path)
    drawn = draw(log, COMPLETE, n_queries, 0)
    order = np.random.default_rng(ROTATION_SEED).permutation(len(log.models))
    new = np.sort(order[rotation::N_ROTATIONS])
    router = fitted(log, drawn, new, options.cache)
    rows = Case(log, drawn, new, router, seed).measure(options.fast)
    columns = ["metric", "choice", "table", "size", "model", "value"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.assign(rotation=rotation, draw=seed, log=log.name)
    table.to_pickle(path)
    return table


def fitted(log, drawn, new, folder):
    """Fit a router without the new models, once."""
    seen = drawn.seen.copy()
    seen[:, new] = np.nan
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"adaptive-{joblib.hash([log.fingerprint, seen, ROUTER])}.joblib"
    if not path.exists():
        training = frame(log, drawn.train, seen)
        joblib.dump(LocusRouter(**ROUTER).fit(training, training["score"]), path)
    return joblib.load(path)


class Case:
    """The new models of a rotation, and the queries that they can be asked."""

    def __init__(self, log, drawn, new, router, seed):
        self.log, self.drawn, self.new = log, drawn, new
        self.router, self.seed = router, seed
        # Only queries that the router knows, in the order in which it keeps them.
        everything = np.arange(len(drawn.train))
        self.base = self.evaluation_of(router, everything, "routing")
        self.train = np.array(self.base._askable.ids)
        places = {row: i for i, row in enumerate(drawn.train)}
        self.order = np.array([places[row] for row in self.train])
        self.scores = drawn.seen[self.order][:, new].T
        self.responses = self.base._responses
        self.queries = self.base._askable.queries

    def evaluation_of(self, router, positions, goal, **options):
        """Start an evaluation with some of the training queries."""
        rows = self.drawn.train[positions]
        vectors = self.log.vectors[rows]
        cells = np.fromiter(vectors, dtype=object, count=len(rows))
        queries = pd.DataFrame({"query_id": rows, "query": cells})
        return AdaptiveEvaluation(
            router, queries, goal=goal, random_state=self.seed, **options
        )

    def measure(self, fast):
        """Return rows of all that is measured."""
        chosen = {}
        for choice in ADAPTIVE:
            chosen[choice] = self.adaptive(choice)
        rng = np.random.default_rng(self.seed)
        for choice in FIXED:
            for size in self.sizes():
                chosen.setdefault(choice, {})[size] = [
                    FIXED[choice](self, size, model, rng)
                    for model in range(len(self.new))
                ]
        rows = list(self.mean_errors(chosen))
        if not fast:
            rows += self.losses(chosen)
        return rows + list(self.recognition())

    def sizes(self):
        """Return the numbers of evaluations that leave enough to choose from."""
        return [size for size in SIZES if size <= MAX_SHARE * len(self.train)]

    def adaptive(self, choice):
        """Choose queries for each model: sets of rows by size."""
        base = copy.copy(self.base)
        base.goal = "routing" if choice == "spread" else choice
        base.random_share = 1.0 if choice == "spread" else base.random_share
        sets = {size: [] for size in self.sizes()}
        for scores in self.scores:
            asked = run(base, scores, max(sets))
            for size, found in sets.items():
                found.append(asked[:size])
        return sets

    def mean_errors(self, chosen):
        """Yield the errors of all estimates of the mean score."""
        for choice, sets in chosen.items():
            for size, of_models in sets.items():
                for model, rows in enumerate(of_models):
                    yield from self.mean_error(choice, size, model, rows)

    def mean_error(self, choice, size, model, rows):
        """Yield the error of one estimate, and whether its interval holds."""
        scores = self.scores[model]
        few = np.full(len(scores), np.nan)
        few[rows] = scores[rows]
        name = self.log.models[self.new[model]]
        answered = np.flatnonzero(np.isfinite(scores))
        truth = scores[answered].mean()
        posterior = self.responses.posterior(few)
        found = mean_score(self.responses.take(answered), few[answered], posterior)
        values = {
            "mean error": abs(found.mean - truth),
            "covered": float(found.low <= truth <= found.high),
            "z": (found.mean - truth) / found.standard_error,
            "width": found.high - found.low,
            "plain mean error": abs(scores[rows].mean() - truth),
        }
        for metric, value in values.items():
            yield metric, choice, "completed", size, name, value

    def losses(self, chosen):
        """Return log loss and routing of all choices."""
        rows = []
        for size in self.sizes():
            tables = MAIN_TABLES + (OTHER_TABLES if size == OTHER_SIZE else ())
            for choice, table in tables:
                rows += self.loss(choice, table, size, chosen[choice][size])
        return rows

    def loss(self, choice, table, size, of_models):
        """Add the new models with what was asked, and predict the test half."""
        scores = np.full((len(self.train), len(self.log.models)), np.nan)
        for model, rows in enumerate(of_models):
            few = np.full(len(self.train), np.nan)
            few[rows] = self.scores[model][rows]
            if table == "completed" and len(self.router.models_) >= MIN_POOL:
                theta = self.responses.posterior(few).theta
                few = np.where(np.isnan(few), self.responses.expected(theta), few)
            scores[:, self.new[model]] = few
        evaluations = frame(self.log, self.train, scores)
        router = copy.copy(self.router)
        if table == "plain":
            router._pool = without_completion(router._pool)
        router.add_models(evaluations, evaluations["score"])
        names = self.log.models[self.new]
        vectors = self.log.vectors[self.drawn.test]
        truth = self.log.scores[self.drawn.test]
        P = router.correctness_matrix(vectors, names).clip(CLIP, 1 - CLIP)
        y = truth[:, self.new]
        losses = np.nanmean(-(y * np.log(P) + (1 - y) * np.log1p(-P)), axis=0)
        labels = router.route(vectors)
        columns = pd.Index(self.log.models).get_indexer(labels)
        routed = np.nanmean(truth[np.arange(len(truth)), columns])
        rows = [
            ("log loss", choice, table, size, name, loss)
            for name, loss in zip(names, losses, strict=True)
        ]
        return [*rows, ("routing", choice, table, size, "all", routed)]

    def recognition(self):
        """Ask known models again on queries that they have no stored answers to."""
        rng = np.random.default_rng([self.seed, 1])
        stored, asked = np.array_split(rng.permutation(len(self.drawn.train)), 2)
        known = np.full(self.drawn.seen.shape, np.nan)
        known[stored] = self.drawn.seen[stored]
        table = frame(self.log, self.drawn.train, known)
        router = copy.copy(self.router)
        router.add_models(table, table["score"], replace=True)
        base = self.evaluation_of(router, asked, "identity")
        places = {row: i for i, row in enumerate(self.drawn.train)}
        order = np.array([places[row] for row in base._askable.ids])
        names = base._known.evaluations.model_names.tolist()
        sizes = [n for n in IDENTITY_SIZES if n <= len(asked)]
        for model in self.new:
            scores = self.drawn.seen[order, model]
            label = self.log.models[model]
            random = rng.permutation(np.flatnonzero(np.isfinite(scores)))
            ways = {"random": random}
            for share in (0.25, 0.0):
                way = copy.copy(base)
                way.random_share = share
                name = "identity" if share else "identity, none random"
                ways[name] = run(way, scores, max(sizes), IDENTITY_BATCH)
            for choice, rows in ways.items():
                for size in sizes:
                    few = np.full(len(scores), np.nan)
                    few[rows[:size]] = scores[rows[:size]]
                    weights = log_weights(base._known, base._askable.queries, few)
                    hit = names[int(weights.argmax())] == label
                    yield "first", choice, "observed", size, label, float(hit)


def without_completion(pool):
    """Return a pool that takes only the own evaluations of new models."""
    shared = pool.evidence.shared
    own = replace(shared.features["own_regression"], completion=None)
    features = {**shared.features, "own_regression": own}
    evidence = replace(pool.evidence, shared=replace(shared, features=features))
    return replace(pool, evidence=evidence)


def run(evaluation, scores, n, batch=BATCH):
    """Ask and tell until n scores are known; return their rows in the order asked."""
    evaluation = started_again(evaluation)
    # What the log does not have cannot be asked.
    evaluation._states[np.isnan(scores)] = DROPPED
    places, asked = evaluation._places, []
    while len(asked) < n:
        ids = list(evaluation.ask(batch)["query_id"])
        if not ids:
            break
        rows = [places[each] for each in ids]
        evaluation.tell(ids, scores[rows])
        asked += rows
    return np.array(asked)


def started_again(evaluation):
    """Copy an evaluation before its first ask: only its state, to save time."""
    twin = copy.copy(evaluation)
    for name in ("_scores", "_states", "_failures", "_rng"):
        setattr(twin, name, copy.deepcopy(getattr(evaluation, name)))
    return twin


def observed(case, model):
    return np.flatnonzero(np.isfinite(case.scores[model]))


def at_random(case, size, model, rng):
    return rng.permutation(observed(case, model))[:size]


def within(strata, case, size, model, rng):
    """Draw from strata in proportion to their sizes, by a systematic sample."""
    rows = rng.permutation(observed(case, model))
    rows = rows[np.argsort(strata[rows], kind="stable")]
    places = (np.arange(size) + rng.random()) * len(rows) / size
    return rows[places.astype(int)]


def by_cluster(case, size, model, rng):
    if not hasattr(case, "clusters"):
        clusters = QueryClusters.fit(case.queries.vectors(), N_CLUSTERS, 0)
        case.clusters = clusters.groups_of(case.queries)
    return within(case.clusters, case, size, model, rng)


def by_task(case, size, model, rng):
    tasks = np.unique(case.log.tasks[case.train], return_inverse=True)[1]
    return within(tasks, case, size, model, rng)


def d_optimal(case, size, model, rng):
    if not hasattr(case, "d_optimal"):
        start = case.responses.posterior(np.full(len(case.train), np.nan))
        criterion = DeterminantCriterion(
            case.responses.directions(start.theta), start.covariance
        )
        everything = np.ones(len(case.train), dtype=bool)
        costs = np.ones(len(case.train))
        batch = Batch(everything, case.base._near, costs, np.inf)
        batch.add_best(max(case.sizes()), criterion)
        case.d_optimal = np.array(batch.chosen)
    kept = case.d_optimal[:size]
    return kept[np.isfinite(case.scores[model][kept])]


def anchors(case, size, model, rng):
    kept = case.__dict__.setdefault("anchors", {})
    if size not in kept:
        kept[size] = central_rows(case.responses, case.queries, size)
    return kept[size][np.isfinite(case.scores[model][kept[size]])]


FIXED = {
    "random": at_random,
    "by cluster": by_cluster,
    "by task": by_task,
    "D-optimal": d_optimal,
    "anchors": anchors,
}


def summarise(results):
    """Average over models, rotations and draws."""
    keys = ["log", "metric", "choice", "table", "size"]
    means = results.groupby(keys, sort=False)["value"].mean().reset_index()
    return means[means["metric"] != "z"].assign(part="means")


COMPARISONS = [
    ("log loss", (choice, table, n), ("random", "plain", 2 * n))
    for choice in ("routing", "random")
    for table in ("observed", "completed")
    for n in (16, 32, 64, 128)
]
COMPARISONS += [
    ("log loss", ("random", table, n), ("random", "plain", n))
    for table in ("observed", "completed")
    for n in (16, 32, 64, 128, 256)
]
COMPARISONS += [
    ("log loss", ("routing", table, n), ("random", table, n))
    for table in ("observed", "completed")
    for n in (16, 32, 64, 128, 256)
]
COMPARISONS += [
    ("log loss", (*other, OTHER_SIZE), ("random", "completed", OTHER_SIZE))
    for other in OTHER_TABLES
]
COMPARISONS += [
    ("mean error", (choice, "completed", n), ("random", "completed", n))
    for choice in (*ADAPTIVE, *list(FIXED)[1:])
    for n in SIZES
]


def compare(results):
    """Return paired differences with their intervals by model."""
    keys = ["metric", "choice", "table", "size", "log", "model"]
    by_model = results.groupby(keys)["value"].mean()
    rows = []
    for metric, one, other in COMPARISONS:
        try:
            differences = by_model[(metric, *one)] - by_model[(metric, *other)]
        except KeyError:
            continue
        for log, own in differences.dropna().groupby("log", sort=False):
            half = 1.96 * own.std() / np.sqrt(len(own))
            rows.append(
                {
                    "part": "differences",
                    "log": log,
                    "metric": metric,
                    "choice": one[0],
                    "table": one[1],
                    "size": one[2],
                    "other": " ".join(map(str, other)),
                    "value": own.mean(),
                    "low": own.mean() - half,
                    "high": own.mean() + half,
                    "models": len(own),
                }
            )
    return pd.DataFrame(rows)


def show(summary, compared, results):
    for metric, own in summary.groupby("metric", sort=False):
        wide = own.pivot_table(
            index=["log", "choice", "table"], columns="size", values="value", sort=False
        )
        print(f"\n{metric}\n{wide.round(4).to_string()}")
    wide = compared.drop(columns="part")
    print(f"\ndifferences\n{wide.round(4).to_string(index=False)}")
    covered = results[results["metric"] == "covered"]
    print(f"\ncovered overall: {covered['value'].mean():.3f}")
    z = results[results["metric"] == "z"].groupby("choice", sort=False)["value"]
    print(f"spread of errors in standard errors\n{z.std().round(2).to_string()}")


def draw_curves(summary, path):
    """Draw log loss against the number of evaluations, a panel for each log."""
    import matplotlib.pyplot as plt

    own = summary[summary["metric"] == "log loss"]
    names = dict(
        zip(
            [("random", "plain"), ("random", "observed"), ("routing", "observed")],
            ("random, no completion", "random", "chosen"),
            strict=True,
        )
    )
    keys = zip(own["choice"], own["table"], strict=True)
    own = own.assign(method=[names.get(key) for key in keys]).dropna(subset="method")
    own = own.rename(columns={"size": "n_evaluations", "value": "error"})
    logs = own["log"].unique()
    figure, axes = plt.subplots(
        1, len(logs), figsize=(4 * len(logs), 3.6), layout="constrained", squeeze=False
    )
    for ax, log in zip(axes[0], logs, strict=True):
        curve = own[own["log"] == log]
        LearningCurveDisplay.from_predictions(curve, metric="Log loss", ax=ax)
        ax.set_title(log)
    figure.savefig(path, dpi=90)


def time_ask(n_queries=12_000, n_models=100):
    """Return the time of one call among many queries, for the slowest goal."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_queries, 384)).astype(np.float32)
    known = np.arange(1024)
    p = 1 / (
        1 + np.exp(-rng.standard_normal((n_models, 1)) - rng.standard_normal(1024))
    )
    scores = (rng.random(p.shape) < p).astype(float)
    cells = np.fromiter(vectors, dtype=object, count=n_queries)
    table = pd.DataFrame(
        {
            "model": np.repeat(np.arange(n_models), len(known)),
            "query": np.tile(cells[known], n_models),
            "query_id": np.tile(known, n_models),
        }
    )
    router = LocusRouter(**TIMED_ROUTER)
    router.fit(table, scores.ravel())
    queries = pd.DataFrame({"query_id": np.arange(n_queries), "query": cells})
    times = []
    for goal in ("routing", "score", "identity"):
        evaluation = AdaptiveEvaluation(router, queries, goal=goal, random_state=0)
        first = evaluation.ask(32)["query_id"]
        evaluation.tell(first, np.ones(len(first)))
        # The time of the processor: it does not depend on who else uses it.
        start = time.process_time()
        evaluation.ask(32)
        times.append(time.process_time() - start)
        print(f"ask(32), {goal}: {times[-1]:.2f} s")
    return max(times)


if __name__ == "__main__":
    # Workers find the functions of a module, not all of those of a script.
    from study_adaptive import main as main_of_module

    main_of_module()
