"""Numbers that overflow, labels that are equal, encodings that lie far out."""

import numpy as np
import pandas as pd
import pytest
from small import SMALL, SMALL_VECTORS, small_routers

from skl_locus import (
    CostModel,
    EmbedLLMRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusRouter,
    RouterPolicy,
)
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import OutlyingEncodingWarning
from skl_locus.metrics import routing_accuracy_score

POOL = make_evaluations(6, 120, noise=0.2, random_state=0)
LOG = POOL.evaluations
NAMES = sorted(LOG["model"].unique())
QUERIES = POOL.encodings[:5]
HUGE = 10**400

ROUTERS = small_routers()


def relabelled(labels, dtype=object):
    names = dict(zip(NAMES, labels, strict=True))
    column = pd.Series([names[m] for m in LOG["model"]], dtype=dtype, index=LOG.index)
    return LOG.assign(model=column)


def with_encodings(change):
    """Return the log with changed encodings, by the order of its queries."""
    cells = {
        name: change(np.asarray(vector), i)
        for i, (name, vector) in enumerate(
            LOG.drop_duplicates("query_id").set_index("query_id")["query"].items()
        )
    }
    return LOG.assign(query=[cells[name] for name in LOG["query_id"]])


def simple():
    return LinearRouter(alpha=1.0).fit(LOG, LOG["score"])


# Labels


@pytest.mark.parametrize(
    ("first", "second"), [(1, 1.0), (True, 1), (0.0, -0.0), (np.int64(2), 2.0)]
)
def test_equal_labels_of_two_kinds_are_refused(first, second):
    log = relabelled([first, second, "c", "d", "e", "f"])
    with pytest.raises(ValueError, match=r"'model' has the labels .* and .* equal"):
        LinearRouter(alpha=1.0).fit(log, log["score"])


def test_the_two_zeros_are_refused_in_a_column_of_floats():
    log = relabelled([0.0, -0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)
    with pytest.raises(ValueError, match=r"labels 0\.0 and -0\.0"):
        LinearRouter(alpha=1.0).fit(log, log["score"])


def test_metrics_refuse_equal_labels_of_two_kinds():
    with pytest.raises(ValueError, match="models' has the labels 1 and True"):
        routing_accuracy_score([1, 0], [0.5, 0.4], queries=[0, 0], models=[1, True])


def test_a_whole_number_is_the_same_label_in_a_column_of_floats():
    whole = relabelled([1, 2, 3, 4, 5, 6], dtype=int)
    router = LinearRouter(alpha=1.0).fit(whole, whole["score"])
    more = whole[whole["model"] == 2].astype({"model": float})
    assert list(router.add_models(more, more["score"]).models_) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("label", [["a"], {"a": 1}, {"a"}])
def test_labels_without_a_hash_are_refused_with_their_row(label):
    log = relabelled(["a", "b", label, "d", "e", "f"])
    row = next(i for i, cell in enumerate(log["model"]) if cell == label)
    name = type(label).__name__
    with pytest.raises(ValueError, match=f"'model' has a {name} in row {row}"):
        LinearRouter(alpha=1.0).fit(log, log["score"])
    ids = pd.Series([label] * len(LOG), index=LOG.index)
    with pytest.raises(ValueError, match=f"'query_id' has a {name} in row 0"):
        LinearRouter(alpha=1.0).fit(LOG.assign(query_id=ids), LOG["score"])


def test_tuples_of_other_lengths_are_labels():
    labels = [(1,), (1, 2), (1, 2, 3), (2,), (2, 1), (3,)]
    log = relabelled(labels)
    router = LinearRouter(alpha=1.0).fit(log, log["score"])
    assert sorted(router.models_) == sorted(labels)
    scored = routing_accuracy_score(
        [1, 0, 1], [0.5, 0.4, 0.3], queries=[0, 0, 1], models=[(1,), (1, 2), (1,)]
    )
    assert scored == 1


# Numbers


def test_costs_in_a_frame_are_taken_by_name():
    costs = pd.DataFrame(np.arange(30.0).reshape(5, 6) % 7, columns=NAMES)
    expected = simple().route(QUERIES, costs=costs.to_numpy(), cost_weight=0.3)
    shuffled = costs[NAMES[::-1]].assign(other=0.0)
    for table in (costs, shuffled):
        routes = simple().route(QUERIES, costs=table, cost_weight=0.3)
        assert routes.tolist() == expected.tolist()
    some = simple().route(QUERIES, NAMES[:2], costs=shuffled, cost_weight=0.3)
    assert set(some) <= set(NAMES[:2])
    with pytest.raises(ValueError, match="without a column for the model 'model-3'"):
        simple().route(QUERIES, costs=costs.drop(columns="model-3"), cost_weight=0.3)


NUMBERS = {
    "cost": lambda: simple().route(
        QUERIES, costs=dict.fromkeys(NAMES, HUGE), cost_weight=1.0
    ),
    "cost_weight": lambda: simple().route(
        QUERIES, costs=dict.fromkeys(NAMES, 1.0), cost_weight=HUGE
    ),
    "costs of a model": lambda: CostModel(costs=dict.fromkeys(NAMES, HUGE)).fit(),
    "prices": lambda: CostModel(prices=dict.fromkeys(NAMES, (1, HUGE))).fit(),
    "cost column": lambda: CostModel().fit(LOG.assign(cost=[HUGE] * len(LOG))),
    "scores": lambda: LinearRouter().fit(LOG, pd.Series([HUGE] * len(LOG))),
    "policy": lambda: RouterPolicy(
        simple(), cost_model=dict.fromkeys(NAMES, 1.0), cost_weight=HUGE
    ).fit(LOG, LOG["score"]),
    "metric": lambda: routing_accuracy_score(
        [1, 0], [HUGE, 0], queries=[0, 0], models=["a", "b"]
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_integers_beyond_every_float_are_refused(name):
    with pytest.raises(ValueError, match=r"(?i)number|numeric|finite") as caught:
        NUMBERS[name]()
    assert len(str(caught.value)) < 400


# What encoders return


class Encoder:
    """A stand-in for a sentence-transformers model."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, **options):
        return self.vectors(texts)


TEXTS = LOG.assign(query=LOG["query_id"].astype(str))
RETURNED = {
    "too few": lambda texts: np.ones((len(texts) - 3, 4)),
    "nothing": lambda texts: None,
    "ragged": lambda texts: [[1.0], [1.0, 2.0]] * (len(texts) // 2),
    "text": lambda texts: np.full((len(texts), 2), "a"),
    "overflow": lambda texts: np.full((len(texts), 2), 1e200),
}


@pytest.mark.parametrize("kind", RETURNED)
def test_what_an_encoder_must_not_return_is_refused(kind):
    router = LinearRouter(alpha=1.0, encoder=Encoder(RETURNED[kind]))
    with pytest.raises(ValueError, match=r"The encoder (must return|returned) .*"):
        router.fit(TEXTS, TEXTS["score"])


def test_an_encoder_must_return_vectors_of_one_length_each_time():
    lengths = iter([4, 1])
    encoder = Encoder(lambda texts: np.eye(len(texts), next(lengths)))
    router = LinearRouter(alpha=1.0, encoder=encoder).fit(TEXTS, TEXTS["score"])
    with pytest.raises(ValueError, match="vectors of length 1, but was fitted with"):
        router.route(["one that is new", "another"])


# Encodings far out, too large, too small, far from the origin


@pytest.mark.parametrize("name", ROUTERS)
@pytest.mark.parametrize("scale", [1e19, 1e30, 1e-45])
def test_encodings_that_float32_cannot_square_are_refused(name, scale):
    log = with_encodings(lambda vector, i: (vector * scale).astype(np.float32))
    with pytest.raises(ValueError, match=r"row 0, .*1e\+15|too close for float32"):
        ROUTERS[name].__sklearn_clone__().fit(log, log["score"])


@pytest.mark.parametrize("name", ROUTERS)
def test_huge_queries_are_refused_by_their_row_and_large_ones_have_a_p(name):
    router = ROUTERS[name].__sklearn_clone__().fit(LOG, LOG["score"])
    queries = QUERIES.copy()
    queries[3] *= 1e20
    with pytest.raises(ValueError, match="row 3, has NaN, inf or an entry beyond"):
        router.route(queries)
    for scale in (1e12, 1e15):
        large = scale * QUERIES / np.abs(QUERIES).max()
        assert np.isfinite(router.correctness_matrix(large)).all()


@pytest.mark.parametrize("ratio", [1e3, 1e12])
@pytest.mark.parametrize(
    "router",
    [
        LinearRouter(),
        LocusRouter(**SMALL),
        EmbedLLMRouter(**(SMALL_VECTORS | {"max_iter": 200})),
    ],
    ids=["linear", "locus", "embedllm"],
)
def test_one_outlier_does_not_spoil_a_fit(router, ratio):
    log = with_encodings(lambda vector, i: vector * (ratio if i == 7 else 1.0))
    with pytest.warns(OutlyingEncodingWarning, match="1 encodings .* that of row 7 "):
        spoiled = router.__sklearn_clone__().fit(log, log["score"])
    good = router.__sklearn_clone__().fit(LOG, LOG["score"])
    asked = make_evaluations(6, 120, noise=0.2, random_state=0).encodings[8:]
    difference = spoiled.correctness_matrix(asked) - good.correctness_matrix(asked)
    assert np.abs(difference).mean() < 0.05


def test_a_later_outlier_is_moved_by_what_fit_has_seen():
    known, new = LOG[LOG["model"] != "model-5"], LOG[LOG["model"] == "model-5"]
    router = LinearRouter().fit(known, known["score"])
    expected = np.array(router.add_models(new, new["score"]).coef_[-1])
    router.remove_models(["model-5"])
    far = pd.DataFrame(
        {"model": ["model-5"], "query": [1e9 * POOL.encodings[0]], "query_id": ["far"]}
    )
    more = pd.concat([new[["model", "query", "query_id"]], far])
    scores = [*new["score"], 1.0]
    with pytest.warns(OutlyingEncodingWarning, match="row 120"):
        router.add_models(more, scores)
    assert np.linalg.norm(router.coef_[-1] - expected) < np.linalg.norm(expected)


def test_encodings_without_outliers_are_learned_from_as_they_are():
    router = LinearRouter(alpha=1.0).fit(LOG, LOG["score"])
    stored = router._fitted_pool().evaluations.queries.encodings
    given = np.unique(np.stack(LOG["query"].tolist()).astype(np.float32), axis=0)
    assert np.array_equal(np.unique(stored, axis=0), given)


@pytest.mark.parametrize(
    "router",
    [KNNRouter(5), KMeansRouter(random_state=0), LocusRouter(**SMALL)],
    ids=["knn", "kmeans", "locus"],
)
def test_an_offset_does_not_make_answers_depend_on_company(router):
    log = with_encodings(lambda vector, i: (vector + 1e6).astype(np.float32))
    router = router.__sklearn_clone__().fit(log, log["score"])
    queries = (POOL.encodings + 1e6).astype(np.float32)
    together = router.correctness_matrix(queries)
    alone = [router.correctness_matrix(query[None]) for query in queries]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-5)


def test_equal_encodings_give_each_model_its_mean():
    equal = with_encodings(lambda vector, i: np.full(4, 0.3))
    router = LocusRouter(**SMALL).fit(equal, equal["score"])
    means = equal.groupby("model")["score"].mean()[router.models_]
    queries = np.vstack([np.full(4, 0.3), np.eye(4), 100 * np.eye(4)])
    P = router.correctness_matrix(queries)
    np.testing.assert_allclose(P, np.tile(means, (len(queries), 1)), atol=1e-6)
    new = equal[equal["model"] == "model-0"].assign(model="zero", score=0.0)
    assert router.add_models(new, new["score"]).correctness_matrix(queries)[2, -1] == 0
