"""What is saved is loaded again, bit for bit, whatever it is."""

import copy
import datetime
import decimal
import json
import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from equality import differences
from every_estimator import (
    HELD_OUT,
    LOG,
    NEW,
    OLD,
    QUERIES,
    TEXTS,
    fitted,
    public_estimators,
    text_transformer,
)
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skl_locus
from skl_locus import (
    BestSingleRouter,
    CostModel,
    KMeansRouter,
    KNNRouter,
    LocusRouter,
    QueryEncoder,
    RouterPolicy,
)
from skl_locus._persistence.plain import _complete
from skl_locus.exceptions import SavedFileError
from skl_locus.model_selection import QueryKFold

EVERY = pytest.mark.parametrize("name", public_estimators())
ROUTERS = [name for name, cls in public_estimators().items() if hasattr(cls, "route")]
EVERY_ROUTER = pytest.mark.parametrize("name", sorted({*ROUTERS} - {"RouterPolicy"}))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "estimator.locus"


def saved(estimator, path, **options):
    skl_locus.save(estimator, path)
    return skl_locus.load(path, **options)


def test_every_public_estimator_is_found():
    names = set(public_estimators())
    assert {"LocusRouter", "CostModel", "RouterPolicy", "QueryEncoder"} <= names
    assert len(names) >= 16


@EVERY
@pytest.mark.parametrize("mmap", [False, True])
def test_every_public_estimator_comes_back_the_same(name, mmap, path):
    before = copy.deepcopy(fitted(name))
    loaded = saved(fitted(name), path, mmap=mmap)
    assert differences(loaded, fitted(name)) == []
    assert differences(fitted(name), before) == []  # saving has changed nothing


@EVERY
def test_every_public_estimator_comes_back_unfitted(name, path):
    estimator = clone(fitted(name))
    loaded = saved(estimator, path)
    assert differences(loaded, estimator) == []


@EVERY_ROUTER
def test_a_loaded_router_predicts_and_goes_on_alike(name, path):
    router = copy.deepcopy(fitted(name))
    for mmap in (False, True):
        loaded = saved(fitted(name), path, mmap=mmap)
        for some in (loaded, router := copy.deepcopy(fitted(name))):
            some.add_models(NEW, NEW.score).remove_models(["model-1"])
        assert loaded.models_.tolist() == router.models_.tolist()
        assert_array_equal(
            loaded.correctness_matrix(QUERIES), router.correctness_matrix(QUERIES)
        )
        assert_array_equal(loaded.route(QUERIES), router.route(QUERIES))


@EVERY_ROUTER
def test_a_router_without_evaluations_predicts_but_cannot_change(name, path):
    router = fitted(name)
    skl_locus.save(router, path, evaluations=False)
    loaded = skl_locus.load(path)
    assert_array_equal(
        loaded.correctness_matrix(QUERIES), router.correctness_matrix(QUERIES)
    )
    assert_array_equal(loaded.route(QUERIES), router.route(QUERIES))
    before = copy.deepcopy(loaded)
    for change in (
        lambda: loaded.add_models(NEW, NEW.score),
        lambda: loaded.add_models(OLD, OLD.score),
        lambda: loaded.remove_models(["model-0"]),
        lambda: RouterPolicy(loaded).fit(HELD_OUT, HELD_OUT.score),
    ):
        with pytest.raises(ValueError, match="saved without its evaluations"):
            change()
    assert differences(loaded, before) == []
    assert skl_locus.describe(path)["pool"]["evaluations"] == 0
    # It can be saved again, and is not more complete then.
    skl_locus.save(loaded, path)
    with pytest.raises(ValueError, match="saved without its evaluations"):
        skl_locus.load(path).add_models(NEW, NEW.score)


def test_without_evaluations_the_file_has_no_score_and_no_text_vector(path):
    log = OLD.assign(query=["text " + str(i) for i in OLD.query_id])
    router = KMeansRouter(4, random_state=0, encoder=text_transformer())
    router.fit(log, log.score)
    keys = router._pool.evaluations.queries.keys
    skl_locus.save(router, path)
    assert keys.tobytes() in path.read_bytes()
    skl_locus.save(router, path, evaluations=False)
    stored = path.read_bytes()
    assert not any(key in stored for key in keys.tolist())
    assert not any(key in stored for key in router.query_encoder_._known.keys.tolist())
    texts = log["query"].unique().tolist()
    np.testing.assert_allclose(
        skl_locus.load(path).correctness_matrix(texts),
        router.correctness_matrix(texts),
        atol=1e-6,
    )


def test_arrays_that_are_shared_stay_shared(path):
    router = fitted("LocusRouter")
    assert router._network is router.embedder_._network
    for mmap in (False, True):
        loaded = saved(router, path, mmap=mmap)
        assert loaded._network is loaded.embedder_._network
    weights = sum(w.nbytes for w in router._network.weights.values())
    assert path.stat().st_size < 2 * weights + 500_000


def test_a_fit_after_loading_gives_the_same_bits(path):
    loaded = saved(fitted("LocusRouter"), path)
    assert differences(loaded.fit(OLD, OLD.score), fitted("LocusRouter")) == []


def test_pipelines_come_back(path):
    log = OLD.assign(query=["text " + str(i) for i in OLD.query_id])
    pipe = make_pipeline(QueryEncoder(text_transformer()), KNNRouter(3))
    pipe.fit(log, log.score)
    loaded = saved(pipe, path)
    assert_array_equal(loaded.predict_proba(log), pipe.predict_proba(log))
    assert skl_locus.describe(path)["pool"]["router"] == "KNNRouter"


def test_a_policy_decides_and_costs_the_same(path):
    policy = fitted("RouterPolicy")
    loaded = saved(policy, path)
    pd.testing.assert_frame_equal(loaded.choose(QUERIES), policy.choose(QUERIES))
    assert_array_equal(loaded.costs(QUERIES), policy.costs(QUERIES))
    assert skl_locus.describe(path)["held_out"]["quality"] == policy.quality_


def test_a_frozen_router_in_a_policy_comes_back(path):
    frozen = FrozenEstimator(fitted("KNNRouter"))
    policy = RouterPolicy(frozen).fit(HELD_OUT, HELD_OUT.score)
    assert differences(saved(policy, path), policy) == []
    assert skl_locus.describe(path)["pool"]["router"] == "KNNRouter"


PRICES = {"small": (0.5, 1.0), "large": (3.0, 10.0)}
CALLS = pd.DataFrame(
    {
        "model": ["small", "large"] * 2,
        "query": ["a", "a", "b", "b"],
        "cost": [1.0, 2, 3, 4],
    }
)


@pytest.mark.parametrize(
    "costs",
    [
        CALLS,
        CALLS.set_index("model")["cost"].groupby("model").mean(),
        CALLS.astype({"model": "category", "query": "string"}),
        pl.from_pandas(CALLS),
        {"small": 1.0, "large": np.float32(2)},
    ],
    ids=["frame", "series", "categories", "polars", "dict"],
)
def test_cost_models_keep_what_they_were_given(costs, path):
    model = CostModel(costs=costs).fit()
    loaded = saved(model, path)
    asked = ["a", "b"], ["small", "large"]
    assert_array_equal(loaded.matrix(*asked), model.matrix(*asked))
    refitted = clone(loaded).fit()
    assert_array_equal(refitted.matrix(*asked), model.matrix(*asked))


def test_prices_as_tables_come_back(path):
    table = pd.DataFrame(PRICES, index=["input", "output"]).T.rename_axis("model")
    table.attrs["source"] = "made up"
    model = CostModel(prices=PRICES, default_output_tokens=9).fit()
    model.prices = table  # as it is, whether or not it can be fitted
    assert differences(saved(model, path), model) == []


LABELS = {
    "numbers": [3, 1, 2],
    "fractions": [0.5, 1.5, -2.25],
    "tuples": [("a", 1), ("b", 2), ("b", 3)],
    "mixed": ["1", 1, ("1", 1)],
    "dates": [datetime.date(2026, 1, d) for d in (1, 2, 3)],
    "moments": [datetime.datetime(2026, 1, 1, h) for h in (1, 2, 3)],
    "timestamps": list(pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")),
    "lengths of time": list(pd.timedelta_range("1h", periods=3)),
    "numpy's": [np.str_("a"), np.int64(3), np.float32(0.1)],
    "decimals": [decimal.Decimal(d) for d in ("1.10", "2.2", "3")],
    "unicode": ["modèle", "模型", "\U0001f600"],
    "dunder": ["__loader__", "__class__", "x"],
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_stay_what_they_are(kind, path):
    router = copy.deepcopy(fitted("KNNRouter"))
    labels = np.empty(5, dtype=object)
    labels[:] = [*LABELS[kind], "a fourth", "a fifth"]
    router._pool = twin = replace(router._pool, models=labels)
    loaded = saved(router, path)
    assert differences(loaded, router) == []
    assert loaded.models_.tolist() == labels.tolist()
    assert loaded._pool.positions == twin.positions


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["r", "s"]),
        pd.DataFrame({("a", 1): [1.5], ("b", 2): [True]}),
        pd.DataFrame({"c": pd.Categorical(["u", "v", "u"], ["v", "u"], ordered=True)}),
        pd.DataFrame({"t": pd.to_datetime(["2026-01-01", None])}),
        pd.DataFrame(),
        pd.Series([1, 2], pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), name="n"),
        pd.Series(["x", "y"], dtype=object, name=("a", 1)),
        pd.Series([1, None], dtype="Int64"),
        pd.Series(pd.date_range("2026-10-24", periods=9, freq="6h", tz="Europe/Rome")),
        pd.Series(np.ma.masked_array([1.0, 2.0], [0, 1])),
        pd.Index(["x", "y"], name="labels"),
        pd.RangeIndex(3, 9, 2, name="rows"),
    ],
    ids=str,
)
def test_tables_come_back(table, path):
    estimator = CostModel(costs=table)
    assert differences(saved(estimator, path), estimator) == []


def test_a_table_needs_no_package_that_made_it(path, monkeypatch):
    estimator = CostModel(costs=pd.Series(["x"], dtype="string[pyarrow]"))
    skl_locus.save(estimator, path)
    array = pd.array

    def without_arrow(values, dtype=None):
        if dtype is not None:
            raise ImportError("pyarrow is not here")
        return array(values)

    monkeypatch.setattr(pd, "array", without_arrow)
    assert skl_locus.load(path).costs.tolist() == ["x"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_dtype_order_and_alignment(order, path):
    arrays = {
        "f": np.asarray(np.arange(12.0, dtype=">f8").reshape(3, 4), order=order),
        "strided": np.arange(20, dtype=np.int16)[::3],
        "empty": np.empty((0, 7), np.float32),
        "scalar": np.array(1 + 2j),
        "times": np.array(["2026-01-01", "NaT"], "M8[ns]"),
        "text": np.array(["a", "bcd"]),
        "bytes": np.array([b"a\0", b"b"], "S2"),
        "bool": np.array([True, False]),
        "records": np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        "generic": np.float32(0.1),
    }
    estimator = BestSingleRouter(encoding_cols=arrays)
    for mmap in (False, True):
        loaded = saved(estimator, path, mmap=mmap).encoding_cols
        assert differences(loaded, arrays) == []
        assert loaded["f"].flags.f_contiguous == arrays["f"].flags.f_contiguous
        for name in ("f", "strided", "text"):
            assert loaded[name].ctypes.data % 16 == 0


def test_searches_come_back(path):
    split = QueryKFold(n_splits=2, shuffle=True, random_state=0)
    search = GridSearchCV(KNNRouter(3), {"n_neighbors": [2, 4]}, cv=split)
    search.fit(OLD, OLD.score)
    skl_locus.save(search, path)
    foreign = skl_locus.describe(path)["foreign_types"]
    assert foreign == [
        "skl_locus.model_selection._split.QueryKFold",
        "sklearn.metrics._scorer._PassthroughScorer",
    ]
    loaded = skl_locus.load(path, trusted=foreign)
    assert_array_equal(loaded.predict_proba(OLD), search.predict_proba(OLD))
    assert loaded.best_params_ == search.best_params_


WITHOUT_ARROW = """
import sys

class NoArrow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)

sys.meta_path.insert(0, NoArrow())
import numpy as np
import skl_locus
policy = skl_locus.load(sys.argv[1], mmap=True)
print(policy.route(np.array({queries}, np.float32)).tolist())
"""


@pytest.mark.integration
def test_a_policy_is_loaded_where_pyarrow_is_missing(path):
    policy = copy.deepcopy(fitted("RouterPolicy"))
    costs = CALLS.astype({"query": "string[pyarrow]", "model": "large_string[pyarrow]"})
    policy.cost_model = CostModel(costs=costs)
    skl_locus.save(policy, path)
    code = WITHOUT_ARROW.format(queries=QUERIES[:3].tolist())
    command = [sys.executable, "-W", "error", "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.strip() == str(policy.route(QUERIES[:3]).tolist())


def test_what_is_no_estimator_is_refused(path):
    for thing in (np.ones(3), LOG, {"a": 1}, KNNRouter):
        with pytest.raises(TypeError, match="save takes an estimator"):
            skl_locus.save(thing, path)
    assert not path.exists()


def test_what_cannot_be_saved_is_named_and_nothing_is_written(path):
    skl_locus.save(KNNRouter(3), path)
    before = path.read_bytes()

    def generator():
        yield 1

    with pytest.raises(TypeError, match="cannot be saved without code"):
        skl_locus.save(CostModel(costs=generator()), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_describe_says_what_is_inside_without_loading(path, monkeypatch):
    router = fitted("LocusRouter")
    skl_locus.save(router, path)
    monkeypatch.setattr("skl_locus._persistence.saving.load_objects", None)
    header = skl_locus.describe(path)
    assert header["estimator"] == "LocusRouter"
    assert header["format"] == 1
    assert header["bytes"] == path.stat().st_size
    assert header["pool"]["models"] == router.models_.tolist()
    assert header["pool"]["n_features"] == QUERIES.shape[1]
    assert header["pool"]["evaluations"] == len(OLD)
    assert {"skl-locus", "skops", "scikit-learn", "numpy"} <= set(header["versions"])
    assert header["held_out"]["log_loss_in_training"] == -max(router.validation_scores_)
    assert json.loads(json.dumps(header)) == header
    assert b'"estimator": "LocusRouter"' in path.read_bytes()[:500]


def test_describe_names_encoders_and_foreign_types(path):
    skl_locus.save(fitted("QueryEncoder"), path)
    (encoder,) = skl_locus.describe(path)["encoders"]
    assert encoder == {"model": "Pipeline", "n_features": 4}
    assert skl_locus.describe(path)["foreign_types"] == []


def test_other_transformers_of_scikit_learn_need_no_trust(path):
    pipe = make_pipeline(FunctionTransformer(np.log1p), fitted("QueryEncoder"))
    loaded = saved(pipe, path)
    assert loaded[0].func is np.log1p
    assert_array_equal(loaded[1].transform(TEXTS), pipe[1].transform(TEXTS))


def test_classes_of_an_earlier_version_are_found_by_name(path, monkeypatch):
    from skl_locus._persistence import registry

    router = fitted("BestSingleRouter")
    monkeypatch.setattr(type(router), "__module__", "skl_locus.baselines._old_place")
    monkeypatch.setattr("skops.io._utils.get_module", lambda obj: obj.__module__)
    skl_locus.save(router, path)
    monkeypatch.undo()
    assert b"_old_place" in path.read_bytes()
    registry.stored_classes.cache_clear()
    assert differences(skl_locus.load(path), router) == []


def test_a_field_of_a_later_version_gets_its_default_or_is_refused(path):
    policy = copy.deepcopy(fitted("RouterPolicy"))
    del vars(policy)["fallback"]
    assert saved(policy, path).fallback == "rerank"
    router = copy.deepcopy(fitted("BestSingleRouter"))
    del vars(router._pool)["prior"]
    with pytest.raises(SavedFileError, match=r"MeanPool has no 'prior'.*saved by skl"):
        saved(router, path)


@dataclass(frozen=True)
class Later:
    """A stored class to which a later version has added two fields."""

    first: int
    second: int = field(default=2, init=False)
    third: list = field(default_factory=list)


def test_defaults_of_later_fields_are_those_of_the_class():
    value = Later(1)
    del vars(value)["third"]
    _complete(value)
    assert vars(value) == {"first": 1, "third": []}
    assert value.second == 2


def test_names_of_stored_classes_are_unique():
    from skl_locus._persistence.registry import stored_classes

    assert {"LocusRouter", "EvaluationSet", "StoredArray"} <= set(stored_classes())
    assert issubclass(stored_classes()["LocusRouter"], LocusRouter)
