"""Fit the network: the package's defaults against the plain recipe, and end to end.

The plain recipe is one full-batch step of Adam per epoch (`plain.fit_plain`), stopped
by the log loss on the queries that the package holds out too. Compared are that loss
and, with the whole default router as well, the one on queries that none has seen.
``--data`` names folders with a log each: evaluations.parquet (model, query_id, score),
queries.parquet (query_id, query) and encodings_mpnet.npy or, where there is none,
encodings_minilm.npy; without it the log is made up. The last row is the default
`LocusRouter` on a large pool.
"""

import time

import numpy as np
import pandas as pd
import torch
from made import N_FEATURES, N_MODELS, encodings
from measuring import parse_options, report, sized
from plain import MAX_EPOCHS, PlainNetwork, fit_plain
from sklearn.utils import check_random_state

from skl_locus import LocusRouter
from skl_locus._networks.training_parameters import hold_out_queries
from skl_locus.metrics import soft_log_loss

NETWORK = "package, network alone"
SEED = 0
N_PLANTED = 8


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    for folder in options.data or [None]:
        compare_recipes(options, folder)
    fit_end_to_end(options)


def compare_recipes(options, folder):
    n_models, n_queries = sized(options, (13, 512), (13, 128), (4, 40))
    vectors, scores = log_of(folder, n_models, 2 * n_queries)
    seen, unseen = vectors[:n_queries], vectors[n_queries:]
    known, asked = scores[:, :n_queries], scores[:, n_queries:]
    runs = {"plain": [], NETWORK: [], "package": []}
    for form, alone in ((NETWORK, True), ("package", False)):
        runs[form].append(fit_package(options, seen, known, unseen, alone=alone))
    held = held_out(runs[NETWORK][0]["router"], seen)
    runs["plain"].append(fit_by_plain_recipe(options, seen, known, held, unseen))
    for form, alone in ((NETWORK, True), ("package", False)):
        runs[form].append(fit_package(options, seen, known, unseen, alone=alone))
    first = {form: results[0] for form, results in runs.items()}
    log = folder.name if folder else "made up"
    report(
        options,
        f"fit_{folder.name}" if folder else "fit",
        f"fit {n_models} models x {n_queries} queries, {log}",
        {form: [result["seconds"] for result in runs[form]] for form in runs},
        target="20 times less time, the same or a better log loss",
        validation_log_loss={
            form: first[form]["validation_loss"] for form in ("plain", NETWORK)
        },
        log_loss_on_unseen_queries={
            form: _log_loss(asked, result["logits"]) for form, result in first.items()
        },
        seconds_to_the_plain_loss=seconds_to(
            first["plain"]["validation_loss"], first["plain"], first[NETWORK]
        ),
        steps={form: result["steps"] for form, result in first.items()},
    )


def seconds_to(loss, plain, network):
    """Estimate when both validation losses first were as low, from their steps."""
    reached = np.flatnonzero(network["validation_losses"] <= loss)
    checks = len(network["validation_losses"])
    return {
        "plain": plain["seconds"] * plain["steps"]["best"] / plain["steps"]["done"],
        NETWORK: (
            network["seconds"] * (reached[0] + 1) / checks if len(reached) else None
        ),
    }


def _log_loss(scores, logits):
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return soft_log_loss(scores.ravel(), probabilities.ravel())


def fit_package(options, vectors, scores, asked, *, alone):
    """Fit a default router, or its network alone; predict some other queries."""
    router, seconds = fit_router(options, vectors, scores, local_evidence=not alone)
    probabilities = router.correctness_matrix(asked).T.astype(np.float64)
    return {
        "router": router,
        "seconds": seconds,
        "validation_loss": -max(router.validation_scores_),
        "validation_losses": -np.array(router.validation_scores_),
        "logits": np.log(probabilities) - np.log1p(-probabilities),
        "steps": router.n_iter_,
    }


def fit_by_plain_recipe(options, vectors, scores, held, asked):
    torch.manual_seed(SEED)
    network = PlainNetwork(vectors.shape[1])
    phi, y = torch.tensor(vectors), torch.tensor(scores)
    max_epochs = sized(options, MAX_EPOCHS, 20, 2)
    start = time.perf_counter()
    loss, best, epochs = fit_plain(
        network, phi[~held], y[:, ~held], phi[held], y[:, held], max_epochs
    )
    seconds = time.perf_counter() - start
    with torch.no_grad():
        embeddings = network.embed(phi[~held], y[:, ~held])
        logits = network.score(embeddings, torch.tensor(asked)).T.numpy()
    return {
        "seconds": seconds,
        "validation_loss": loss,
        "logits": logits,
        "steps": {"best": best, "done": epochs},
    }


def fit_router(options, vectors, scores, **parameters):
    """Fit a default router; return it and the seconds that it took."""
    if options.smoke:
        parameters["max_iter"] = 2
    table = table_of(vectors, len(scores))
    router = LocusRouter(random_state=SEED, **parameters)
    start = time.perf_counter()
    router.fit(table, scores.ravel())
    return router, time.perf_counter() - start


def table_of(vectors, n_models):
    cells = np.empty(len(vectors), dtype=object)
    cells[:] = list(vectors)
    names = [f"model-{i:03d}" for i in range(n_models)]
    return pd.DataFrame(
        {
            "model": np.repeat(names, len(vectors)),
            "query": np.tile(cells, n_models),
            "query_id": np.tile(np.arange(len(vectors)), n_models),
        }
    )


def held_out(router, vectors):
    """Tell which queries a fitted router held out of its training: (n_queries,)."""
    evaluations = router._fitted_pool().evaluations
    seed = int(check_random_state(SEED).randint(2**31 - 1))
    held = hold_out_queries(evaluations, router.validation_fraction, seed)
    codes = np.unique(evaluations.query_codes[held])
    # The package adds a positive zero to vectors, which leaves no negative ones.
    held_vectors = {v.tobytes() for v in evaluations.queries.vectors(codes)}
    found = np.array([(v + 0.0).tobytes() in held_vectors for v in vectors])
    if found.sum() != len(codes):
        raise RuntimeError("The held-out queries are not all among the vectors.")
    return found


def log_of(folder, n_models, n_queries):
    """Return encodings (n_queries, n_features) and scores (n_models, n_queries)."""
    if folder is None:
        return planted(n_models, n_queries)
    return read_log(folder, n_models, n_queries)


def planted(n_models, n_queries):
    rng = np.random.default_rng(SEED)
    vectors = encodings(n_queries, N_FEATURES)
    vectors[:, :N_PLANTED] *= 3
    traits = vectors[:, :N_PLANTED] @ rng.normal(size=(N_PLANTED, n_models)) / 3
    correct = rng.random(traits.shape) < 1 / (1 + np.exp(-traits))
    return vectors, np.ascontiguousarray(correct.T, dtype=np.float32)


def read_log(folder, n_models, n_queries):
    """Read queries that all of the models with most evaluations have answered.

    Only queries of the development half of the data's protocol are read.
    """
    queries = pd.read_parquet(folder / "queries.parquet")
    cells = pd.read_parquet(folder / "evaluations.parquet")
    texts, first = np.unique(queries["query"].to_numpy(str), return_index=True)
    order = np.random.default_rng(100).permutation(len(texts))
    matrix = cells.pivot_table(
        index="query_id", columns="model", values="score", observed=True
    ).sort_index(axis=1)
    chosen = first[order[len(order) // 2 :]]
    ids = queries["query_id"].to_numpy()[chosen]
    matrix = matrix.reindex(ids)
    most = matrix.count().sort_values(ascending=False, kind="stable").index[:n_models]
    matrix = matrix[most.sort_values()]
    complete = np.flatnonzero(matrix.notna().all(axis=1))[:n_queries]
    files = (folder / f"encodings_{encoder}.npy" for encoder in ("mpnet", "minilm"))
    file = next(path for path in files if path.exists())
    vectors = np.load(file, mmap_mode="r")[chosen[complete]]
    return (
        np.asarray(vectors, dtype=np.float32),
        np.ascontiguousarray(matrix.to_numpy(np.float32)[complete].T),
    )


def fit_end_to_end(options):
    n_models, n_queries = sized(options, (N_MODELS, 1024), (N_MODELS, 128), (4, 40))
    vectors, scores = planted(n_models, n_queries)
    fits = [
        fit_router(options, vectors, scores)[1] for _ in range(sized(options, 3, 1, 1))
    ]
    report(
        options,
        "fit_end_to_end",
        f"fit the default router, {n_models} models x {n_queries} queries",
        {"package": fits},
        target="under 180 s",
    )


if __name__ == "__main__":
    main()
