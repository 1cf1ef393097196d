"""LOCUS predicts better than its comparators: on a synthetic pool, and a real log.

Development halves of the real log only: the test halves are the report's.
"""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from skl_locus.datasets import make_evaluations

ROOT = Path(__file__).parents[2]
# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(ROOT / "examples" / "experiments"))
evaluate, methods, protocol = map(
    importlib.import_module, ("evaluate", "methods", "protocol")
)

ZEROEVAL = ROOT.parent / "shared" / "data" / "zeroeval"
COMPARATORS = ["kNN (softmax)", "KMeans", "Linear", "IRT-Net", "Best single"]
SMALLER_CORRECTNESS = 0.003
"""Of correctly predicted answers, that LOCUS may be behind any comparator."""

NOISE_OF_ROUTING = 0.02
"""About two standard errors of a difference in routing accuracy on these tests."""


def synthetic_log():
    pool = make_evaluations(
        n_models=20,
        n_queries=1500,
        n_tasks=6,
        n_families=5,
        noise=0.5,
        random_state=3,
    )
    queries = pool.queries.assign(query=[f"text {i}" for i in range(1500)])
    return protocol.make_log(
        "synthetic",
        pool.evaluations[["model", "query_id", "score"]],
        queries,
        pool.encodings,
        pool.models,
        report=True,
    )


def real_log():
    if not ZEROEVAL.exists():
        pytest.skip("../shared/data is not here")
    files = protocol.Files.in_folder(ZEROEVAL, "minilm")
    return protocol.restrict(protocol.read_log(files, report=False), "mid", files)


@pytest.fixture(scope="module", params=[synthetic_log, real_log])
def results(request):
    """Fit every method on the same 300 queries; return a row of metrics for each."""
    log = request.param()
    drawn = protocol.draw(log, protocol.COMPLETE, 300, 0)
    scores = log.scores[drawn.test]
    rows = {}
    for method in ["LOCUS", *COMPARATORS]:
        router = methods.make(method, 0)
        evaluate.fit_on_draw(router, log, drawn)
        P, decisions = evaluate.predict(router, log, drawn.test, scores)
        rows[method] = evaluate.summarise(P, decisions, scores, drawn.seen)
    return rows


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_locus_has_the_lowest_log_loss(results, comparator):
    assert results["LOCUS"]["log_loss"] < results[comparator]["log_loss"]


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_locus_predicts_correctness_no_worse(results, comparator):
    theirs = results[comparator]["correctness_accuracy"]
    assert results["LOCUS"]["correctness_accuracy"] > theirs - SMALLER_CORRECTNESS


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_locus_routes_no_worse_beyond_noise(results, comparator):
    theirs = results[comparator]["routing_accuracy"]
    assert results["LOCUS"]["routing_accuracy"] > theirs - NOISE_OF_ROUTING


def test_probabilities_are_calibrated(results):
    assert results["LOCUS"]["ece"] < 0.05
    assert np.isfinite(results["LOCUS"]["log_loss"])
