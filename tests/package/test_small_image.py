"""Serving without torch and sentence-transformers, as a small image has it.

CI also runs these tests with the interpreter of an environment that has nothing but the
packages of the list: ``SMALL_PYTHON`` names it.
"""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from small import small_routers

from skl_locus import RouterPolicy, save
from skl_locus.datasets import make_evaluations

ROOT = Path(__file__).parents[2]
LIST = ROOT / "examples" / "serving" / "requirements-small.txt"
POOL = make_evaluations(n_models=5, n_queries=60, random_state=0)
LOG = POOL.evaluations
NAMES = ["locus", "knn", "kmeans", "linear", "best", "embedllm"]

SMALL_PYTHON = os.environ.get("SMALL_PYTHON")

SERVE = """
import sys

BLOCKED = {"torch", "sentence_transformers", "transformers", "tqdm"}


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Blocker())
import numpy as np
import skl_locus

queries = np.load(sys.argv[2])
served = skl_locus.load(sys.argv[1])
labels = served.route(queries)
ranking = served.rank(queries, 2)
assert len(labels) == len(queries) and ranking.labels.shape == (len(queries), 2)
if hasattr(served, "choose"):
    assert served.choose(queries)["cost"].notna().all()
    assert served.costs(queries).shape[0] == len(queries)
else:
    costs = {model: 1.0 for model in served.models_}
    weighed = served.route(queries, costs=costs, cost_weight=0.1)
    assert len(weighed) == len(queries)
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
sys.stdout.write("\\n".join(map(str, labels)))
"""


def serve(estimator, folder):
    """Return the routes of an estimator that a process without torch has loaded."""
    import numpy as np

    save(estimator, folder / "served.locus")
    np.save(folder / "queries.npy", POOL.encodings[:10])
    done = subprocess.run(
        [
            SMALL_PYTHON or sys.executable,
            *("-c", SERVE, folder / "served.locus", folder / "queries.npy"),
        ],
        capture_output=True,
        text=True,
        # The package that is installed there, not this checkout, is what is tested.
        cwd=folder if SMALL_PYTHON else ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


@pytest.mark.parametrize("name", NAMES)
def test_saved_routers_load_route_rank_and_price(name, tmp_path):
    router = small_routers()[name].fit(LOG, LOG["score"])
    assert serve(router, tmp_path) == router.route(POOL.encodings[:10]).tolist()


def test_a_saved_policy_prices(tmp_path):
    train = LOG[LOG["query_id"] < "query-30"]
    rest = LOG[LOG["query_id"] >= "query-30"]
    router = small_routers()["kmeans"].fit(train, train["score"])
    policy = RouterPolicy(router, cost_model=POOL.models["cost"], cost_weight=0.1)
    policy.fit(rest, rest["score"])
    assert serve(policy, tmp_path) == policy.route(POOL.encodings[:10]).tolist()


def test_the_list_of_the_small_image_has_what_it_needs():
    lines = [line.partition("#")[0].strip() for line in LIST.read_text().splitlines()]
    wanted = {Requirement(line).name: Requirement(line) for line in lines if line}
    assert not {"torch", "sentence-transformers", "transformers"} & set(wanted)
    for name in ("numpy", "scipy", "scikit-learn", "pandas", "skops", "narwhals"):
        assert name in wanted
    for name, requirement in wanted.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        assert requirement.specifier.contains(installed, prereleases=True)
