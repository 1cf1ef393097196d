"""Invalid parameters are refused by fit, never by __init__, and named."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from small import SMALL, SMALL_ITEMS, SMALL_VECTORS

from skl_locus import (
    AvengersRouter,
    BestSingleRouter,
    EmbedLLMRouter,
    IRTRouter,
    JEIRTRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusEmbedder,
    LocusRouter,
    MIRTRouter,
    ProxRouter,
    QueryEncoder,
    UniRouteRouter,
)
from skl_locus.datasets import make_evaluations

LOG = make_evaluations(
    3, 24, n_tasks=2, n_families=2, n_features=3, random_state=0
).evaluations
SHARED = [
    ("model_col", 3),
    ("query_col", None),
    ("query_id_col", ["query_id"]),
    ("encoding_cols", 7),
    ("duplicates", "sum"),
]
TRAINING = [
    ("n_components", 0),
    ("n_components", 8.0),
    ("n_components", "8"),
    ("query_noise", -1),
    ("query_noise", np.nan),
    ("max_iter", 0),
    ("batch_size", 0),
    ("learning_rate_init", 0),
    ("learning_rate_init", np.nan),
    ("alpha", -1e-3),
    ("early_stopping", None),
    ("validation_fraction", 1.0),
    ("validation_fraction", 0.0),
    ("n_iter_no_change", 0),
    ("tol", -1),
    ("random_state", "zero"),
    ("device", "banana"),
    ("device", 0),
    ("precision", "half"),
    ("verbose", -1),
]
VECTORS = [*TRAINING, ("hidden_size", 0)]
NETWORK = [
    *TRAINING,
    ("n_latents", 0),
    ("n_layers", 0),
    ("n_heads", -1),
    ("dim_feedforward", 0),
    ("attention", "none"),
    ("predictor_hidden", 0),
    ("local_evidence", "yes"),
    ("dropout", 1.0),
    ("dropout", -0.1),
    ("min_context", 0),
    ("max_context", 0),
    ("n_targets", 0),
    ("ema_decay", 1.0),
    ("warm_start", "no"),
    ("score_col", 0),
]
CASES = [
    *((LocusRouter(**SMALL), *case) for case in SHARED + NETWORK),
    *((LocusEmbedder(**SMALL), *case) for case in SHARED + NETWORK),
    *((KNNRouter(), *case) for case in [*SHARED, ("n_neighbors", 0)]),
    *((KMeansRouter(), *case) for case in [*SHARED, ("n_clusters", 1.5)]),
    (KMeansRouter(), "shrinkage", -1),
    (KMeansRouter(), "random_state", "zero"),
    (KMeansRouter(), "n_clusters", "many"),
    (KMeansRouter(), "tune_for", "accuracy"),
    (KNNRouter(), "n_neighbors", "all"),
    (KNNRouter(), "weights", "cosine"),
    (KNNRouter(), "temperature", 0.0),
    (KNNRouter(), "shrinkage", -1),
    (KNNRouter(), "tune_for", None),
    *((LinearRouter(), *case) for case in SHARED),
    (LinearRouter(), "alpha", 0),
    (LinearRouter(), "alpha", "best"),
    (LinearRouter(), "loss", "hinge"),
    (LinearRouter(), "pooling", "sum"),
    (LinearRouter(), "tune_for", "accuracy"),
    *((EmbedLLMRouter(**SMALL_VECTORS), *case) for case in SHARED + VECTORS),
    (EmbedLLMRouter(**SMALL_VECTORS), "n_hidden_layers", -1),
    *((IRTRouter(**SMALL_VECTORS), *case) for case in SHARED + VECTORS),
    (IRTRouter(**SMALL_VECTORS), "n_experts", 0),
    *((BestSingleRouter(), *case) for case in SHARED),
    *((JEIRTRouter(**SMALL_VECTORS), *case) for case in SHARED + VECTORS),
    (JEIRTRouter(**SMALL_VECTORS), "dropout", 1.0),
    *((MIRTRouter(**SMALL_ITEMS), *case) for case in SHARED + TRAINING),
    *((ProxRouter(), *case) for case in [*SHARED, ("n_clusters", "auto")]),
    (ProxRouter(), "temperature", 0.0),
    (ProxRouter(), "shrinkage", "auto"),
    (ProxRouter(), "random_state", "zero"),
    *((UniRouteRouter(), *case) for case in [*SHARED, ("n_clusters", 0)]),
    (UniRouteRouter(), "query_map", "linear"),
    (UniRouteRouter(), "alpha", 0.0),
    (UniRouteRouter(), "shrinkage", -1),
    (UniRouteRouter(), "tune_for", "accuracy"),
    *((AvengersRouter(), *case) for case in [*SHARED, ("n_clusters", 0)]),
    (AvengersRouter(), "n_nearest", 0),
    (AvengersRouter(), "temperature", 0.0),
    (AvengersRouter(), "performance_weight", 1.5),
    (AvengersRouter(), "costs", [1.0, 2.0]),
]


def case_id(value):
    return type(value).__name__ if hasattr(value, "fit") else repr(value)


@pytest.mark.parametrize(("estimator", "parameter", "value"), CASES, ids=case_id)
def test_fit_names_the_invalid_parameter(estimator, parameter, value):
    estimator = type(estimator)(**{**estimator.get_params(), parameter: value})
    assert estimator.get_params()[parameter] is value
    with pytest.raises(ValueError, match=parameter):
        estimator.fit(LOG, LOG["score"])
    with pytest.raises(ValueError, match=parameter):
        clone(estimator).fit(LOG, LOG["score"])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("query_col", 3),
        ("query_id_col", None),
        ("batch_size", 0),
        ("device", 1),
        ("verbose", -1),
        ("encoder", 3),
        ("encoder", TfidfVectorizer),
        ("encoder", None),
    ],
)
def test_the_query_encoder_names_the_invalid_parameter(parameter, value):
    encoder = QueryEncoder(**{"encoder": TfidfVectorizer(), parameter: value})
    with pytest.raises((ValueError, TypeError), match=parameter):
        encoder.fit(["What is 7*8?", "Who wrote Faust?"])
    assert not hasattr(encoder, "n_features_out_")


def test_a_broken_encoder_of_an_estimator_is_named():
    table = LOG.assign(query=[f"What is {i}?" for i in LOG["query_id"]])
    for encoder in (3, TfidfVectorizer, ["tfidf"], QueryEncoder(3)):
        with pytest.raises((ValueError, TypeError), match="encoder"):
            KNNRouter(3, encoder=encoder).fit(table, LOG["score"])


@pytest.mark.parametrize("estimator", [LocusRouter, LocusEmbedder])
def test_min_context_above_max_context_is_refused(estimator):
    wrong = estimator(**{**SMALL, "min_context": 17, "max_context": 16})
    with pytest.raises(ValueError, match=r"min_context=17.*max_context=16"):
        wrong.fit(LOG, LOG["score"])


@pytest.mark.parametrize("estimator", [LocusRouter, LocusEmbedder])
def test_a_refused_parameter_leaves_a_fitted_estimator_as_it_was(estimator):
    fitted = estimator(**SMALL).fit(LOG, LOG["score"])
    output = fitted.transform if estimator is LocusEmbedder else fitted.predict_proba
    before = np.asarray(output(LOG))
    for parameter, value in [
        ("n_latents", 0),
        ("device", "banana"),
        ("min_context", 99),
    ]:
        fitted.set_params(**{parameter: value})
        with pytest.raises(ValueError, match=parameter):
            fitted.fit(LOG, 1 - LOG["score"])
        fitted.set_params(**{parameter: {**SMALL, "device": "auto"}[parameter]})
        np.testing.assert_array_equal(np.asarray(output(LOG)), before)


def test_a_refused_warm_start_leaves_a_fitted_router_as_it_was():
    router = LocusRouter(**SMALL, warm_start=True).fit(LOG, LOG["score"])
    before = router.predict_proba(LOG)
    narrower = LOG.assign(query=[vector[:2] for vector in LOG["query"]])
    with pytest.raises(ValueError, match="warm_start"):
        router.fit(narrower, LOG["score"])
    np.testing.assert_array_equal(router.predict_proba(LOG), before)


@pytest.mark.parametrize("estimator", [LocusRouter(**SMALL), KNNRouter()])
def test_encoding_columns_that_are_not_there_are_named(estimator):
    table = LOG[["model", "score"]].assign(e0=range(72), e1=1.0)
    estimator = clone(estimator).set_params(encoding_cols=["e0", "e9"])
    with pytest.raises(ValueError, match=r"encoding_cols.*'e9'"):
        estimator.fit(table, LOG["score"])


def test_renamed_columns_are_named_in_errors():
    router = KNNRouter(3, model_col="llm", query_col="prompt", query_id_col="pid")
    table = LOG.rename(columns={"model": "llm", "query": "prompt", "query_id": "pid"})
    router.fit(table, LOG["score"])
    for column in ("llm", "pid"):
        broken = table.astype({column: object}).copy()
        broken.loc[4, column] = None
        with pytest.raises(ValueError, match=f"'{column}'.*row 4"):
            router.fit(broken, LOG["score"])
    with pytest.raises(ValueError, match="'prompt'"):
        router.fit(table.assign(prompt=1.0), LOG["score"])
    with pytest.raises(ValueError, match="'llm'"):
        router.predict_proba(table.drop(columns="llm"))
    with pytest.raises(ValueError, match="'grade'"):
        LocusEmbedder(**SMALL, score_col="grade").fit(LOG)


@pytest.mark.parametrize("k", [0, 4, 1.5])
def test_rank_names_a_bad_k(k):
    router = BestSingleRouter().fit(LOG, LOG["score"])
    with pytest.raises((ValueError, TypeError), match=r"\bk\b"):
        router.rank(np.ones((2, 3)), k=k)


def test_route_names_a_bad_choice():
    queries = np.ones((2, 3))
    locus = LocusRouter(**SMALL).fit(LOG, LOG["score"])
    single = BestSingleRouter().fit(LOG, LOG["score"])
    with pytest.raises(ValueError, match=r"fallback.*embeddings"):
        single.route(queries, fallback="neighbor")
    for router in (locus, single):
        with pytest.raises(ValueError, match=r"fallback.*'rerank'"):
            router.route(queries, fallback="random")
        with pytest.raises(ValueError, match="unavailable"):
            router.route(queries, unavailable=list(router.models_))
        with pytest.raises(ValueError, match="models is empty"):
            router.route(queries, models=[])
        with pytest.raises(ValueError, match="unavailable"):
            router.route(queries, unavailable="model-0")
    with pytest.raises(ValueError, match=r"\bk\b"):
        locus.neighbors("model-0", k=0)
    with pytest.raises(ValueError, match="'nobody'"):
        locus.neighbors("nobody")
    with pytest.raises(ValueError, match="metric"):
        locus.neighbors("model-0", metric="banana")
