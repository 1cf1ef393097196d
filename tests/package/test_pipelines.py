"""Pipelines, searches, scorers, containers and metadata routing."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
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
from skl_locus.metrics import (
    correctness_accuracy_scorer,
    make_onboarding_scorer,
    make_routing_scorer,
    neg_soft_brier_scorer,
    neg_soft_log_loss_scorer,
    routing_accuracy_scorer,
)
from skl_locus.model_selection import ModelShuffleSplit, QueryKFold, QueryShuffleSplit

POOL = {"n_tasks": 2, "n_families": 2, "n_features": 3, "specialization": 4}
LOG = make_evaluations(6, 40, **POOL, random_state=0).evaluations
GRADED = make_evaluations(6, 40, **POOL, graded=True, random_state=0).evaluations
MODELS = sorted(set(LOG["model"]))
SCORERS = {
    "log_loss": neg_soft_log_loss_scorer,
    "brier": neg_soft_brier_scorer,
    "accuracy": correctness_accuracy_scorer,
    "routing": routing_accuracy_scorer,
    "made": make_routing_scorer(),
}


def text_log(n_queries=18):
    """Tell the two tasks of a log apart by the words of its texts."""
    verbs = {"task-0": "add", "task-1": "translate"}
    texts = [
        f"Please {verbs[task]} item {name[-2:]}"
        for task, name in zip(LOG["task"], LOG["query_id"], strict=True)
    ]
    table = LOG.drop(columns="query_id").assign(query=texts)
    return table[table["query"].isin(sorted(set(texts))[::2][:n_queries])]


TEXT_LOG = text_log()


def text_pipeline(router):
    encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=0))
    return Pipeline([("encode", QueryEncoder(encoder)), ("route", router)])


ROUTERS = {
    "embedllm": EmbedLLMRouter(**SMALL_VECTORS),
    "irt": IRTRouter(**SMALL_VECTORS),
    "je-irt": JEIRTRouter(**SMALL_VECTORS),
    "mirt": MIRTRouter(**SMALL_ITEMS),
    "prox": ProxRouter(4, random_state=0),
    "uniroute": UniRouteRouter(3, alpha=1.0, random_state=0),
    "avengers": AvengersRouter(4, random_state=0),
    "locus": LocusRouter(**SMALL),
    "knn": KNNRouter(3),
    "kmeans": KMeansRouter(2, random_state=0),
    "linear": LinearRouter(alpha=1.0),
    "single": BestSingleRouter(),
}
each_router = pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS)


@pytest.fixture(params=[False, True], ids=["no routing", "metadata routing"])
def metadata_routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


def test_a_search_over_both_steps_in_two_processes():
    grid = {
        "encode__encoder__truncatedsvd__n_components": [2, 3],
        "route__n_latents": [2, 4],
    }
    search = GridSearchCV(
        text_pipeline(LocusRouter(**{**SMALL, "max_iter": 3})),
        grid,
        cv=QueryKFold(3),
        scoring=routing_accuracy_scorer,
        n_jobs=2,
        error_score="raise",
    ).fit(TEXT_LOG, TEXT_LOG["score"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert set(search.best_params_) == set(grid)
    best = search.best_estimator_
    svd = best[0].encoder_[-1]
    assert svd.n_components == search.best_params_[next(iter(grid))]
    assert best[-1].n_latents == search.best_params_["route__n_latents"]
    assert search.predict_proba(TEXT_LOG).shape == (len(TEXT_LOG), 2)
    assert 0 <= search.score(TEXT_LOG, TEXT_LOG["score"]) <= 1
    routes = best[-1].route(best[:-1].transform(["Please add item 07"]))
    assert routes[0] in MODELS


def test_a_search_over_an_encoder_inside_a_router():
    encoder = QueryEncoder(TfidfVectorizer())
    search = GridSearchCV(
        KNNRouter(encoder=encoder),
        {"n_neighbors": [1, 5], "encoder__encoder__max_features": [3, 8]},
        cv=QueryKFold(2),
        scoring=SCORERS,
        refit="routing",
        error_score="raise",
    ).fit(TEXT_LOG, TEXT_LOG["score"])
    assert search.best_estimator_.route(["Please add item 07"])[0] in MODELS


@each_router
def test_every_scorer_in_cross_validate(router, metadata_routing):
    for log in (LOG, GRADED):
        result = cross_validate(
            clone(router),
            log,
            log["score"],
            cv=QueryShuffleSplit(2, random_state=0),
            scoring=SCORERS,
            error_score="raise",
        )
        for name in SCORERS:
            assert np.isfinite(result[f"test_{name}"]).all()
        np.testing.assert_array_equal(result["test_made"], result["test_routing"])


@each_router
def test_a_pipeline_of_texts_in_cross_val_score(router, metadata_routing):
    scores = cross_val_score(
        text_pipeline(clone(router)),
        TEXT_LOG,
        TEXT_LOG["score"],
        cv=QueryKFold(2),
        scoring=routing_accuracy_scorer,
        error_score="raise",
    )
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_score_of_a_pipeline_is_the_default_scoring(metadata_routing):
    pipe = text_pipeline(KNNRouter(3))
    y = TEXT_LOG["score"]
    args = (pipe, TEXT_LOG, y)
    default = cross_val_score(*args, cv=QueryKFold(2))
    named = cross_val_score(
        *args, cv=QueryKFold(2), scoring=correctness_accuracy_scorer
    )
    np.testing.assert_allclose(default, named)


def test_metadata_routing_changes_no_result():
    pipe, y = text_pipeline(LocusRouter(**SMALL)), TEXT_LOG["score"]
    without = clone(pipe).fit(TEXT_LOG, y).predict_proba(TEXT_LOG)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(pipe).fit(TEXT_LOG, y).predict_proba(TEXT_LOG)
    np.testing.assert_array_equal(routed, without)


def test_weights_of_score_are_routed():
    y, weights = LOG["score"], np.linspace(0, 1, len(LOG))
    with sklearn.config_context(enable_metadata_routing=True):
        router = KNNRouter(3).set_score_request(sample_weight=True)
        args = (router, LOG, y)
        weighted = cross_val_score(
            *args, cv=QueryKFold(2), params={"sample_weight": weights}
        )
    halves = []
    for train, test in QueryKFold(2).split(LOG):
        fitted = KNNRouter(3).fit(LOG.iloc[train], y.iloc[train])
        correct = fitted.predict(LOG.iloc[test]) == y.iloc[test]
        halves.append(np.average(correct, weights=weights[test]))
    np.testing.assert_allclose(weighted, halves)


@pytest.mark.parametrize("metric", ["neg_soft_log_loss", "routing_accuracy"])
@pytest.mark.parametrize("router", [KNNRouter(3), LocusRouter(**SMALL)])
def test_onboarding_in_cross_val_score(router, metric, metadata_routing):
    scorer = make_onboarding_scorer(8, metric)
    scores = cross_val_score(
        router,
        LOG,
        LOG["score"],
        cv=ModelShuffleSplit(2, test_size=2, random_state=0),
        scoring=scorer,
        error_score="raise",
    )
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("inside", [True, False], ids=["in router", "in pipeline"])
def test_onboarding_from_texts(inside):
    estimator = text_pipeline(KNNRouter(3))
    if inside:
        estimator = KNNRouter(3, encoder=estimator[0])
    # The models to onboard have been evaluated on texts that no other model saw.
    unseen = TEXT_LOG["query"].isin(sorted(set(TEXT_LOG["query"]))[:4])
    train = TEXT_LOG[~unseen & (TEXT_LOG["model"] < "model-4")]
    test = TEXT_LOG[TEXT_LOG["model"] >= "model-4"]
    fitted = estimator.fit(train, train["score"])
    score = make_onboarding_scorer(6, "correctness_accuracy")(
        fitted, test, test["score"]
    )
    assert 0 <= score <= 1
    router = fitted if inside else fitted[-1]
    assert list(router.models_) == MODELS[:4]


def test_families_by_clustering_embeddings(metadata_routing):
    pipe = make_pipeline(LocusEmbedder(**SMALL), AgglomerativeClustering(n_clusters=2))
    families = pipe.fit_predict(LOG)
    assert families.shape == (6,)
    assert set(families) == {0, 1}
    embeddings = LocusEmbedder(**SMALL).fit_transform(LOG)
    expected = AgglomerativeClustering(n_clusters=2).fit_predict(embeddings)
    np.testing.assert_array_equal(families, expected)


@pytest.mark.parametrize("by", ["method", "context"])
def test_names_survive_the_pandas_container(by):
    pipe = make_pipeline(LocusEmbedder(**SMALL), PCA(2))
    if by == "method":
        pipe.set_output(transform="pandas")
        reduced = pipe.fit_transform(LOG)
    else:
        with sklearn.config_context(transform_output="pandas"):
            reduced = pipe.fit_transform(LOG)
    assert list(reduced.index) == MODELS
    assert list(reduced.columns) == ["pca0", "pca1"]
    assert list(pipe[0].transform(LOG).index) == MODELS


def test_names_are_right_where_rows_and_models_are_equally_many():
    embedder = LocusEmbedder(**SMALL).fit(LOG)
    few = LOG.groupby("model").head(1)[::-1]
    few = few.set_index(pd.Index(list("uvwxyz")))
    expected = embedder.transform(few)
    assert list(expected.index) == MODELS
    for container in ("default", "pandas"):
        embedder.set_output(transform=container)
        pd.testing.assert_frame_equal(embedder.transform(few), expected)
        with sklearn.config_context(transform_output=container):
            pd.testing.assert_frame_equal(embedder.transform(few), expected)


def test_feature_names_of_embeddings():
    embedder = LocusEmbedder(**SMALL).fit(LOG)
    names = [f"locusembedder{i}" for i in range(8)]
    assert list(embedder.get_feature_names_out()) == names
    assert list(embedder.transform(LOG).columns) == names


def test_an_embedder_cannot_output_polars():
    embedder = LocusEmbedder(**SMALL).fit(LOG)
    before = embedder.transform(LOG)
    for estimator in (embedder, make_pipeline(embedder, PCA(2))):
        with pytest.raises(ValueError, match=r"polars.*index"):
            estimator.set_output(transform="polars")
    with sklearn.config_context(transform_output="polars"):
        with pytest.raises(ValueError, match=r"polars.*index"):
            embedder.transform(LOG)
        with pytest.raises(ValueError, match=r"polars.*index"):
            clone(embedder).fit_transform(LOG)
    pd.testing.assert_frame_equal(embedder.transform(LOG), before)


def test_its_own_setting_lets_an_embedder_work_under_a_polars_default():
    embedder = LocusEmbedder(**SMALL).fit(LOG).set_output(transform="pandas")
    with sklearn.config_context(transform_output="polars"):
        assert list(embedder.transform(LOG).index) == MODELS


@pytest.mark.parametrize("container", ["pandas", "polars"])
@each_router
def test_routers_work_under_any_container(router, container):
    expected = clone(router).fit(LOG, LOG["score"])
    with sklearn.config_context(transform_output=container):
        fitted = clone(router).fit(LOG, LOG["score"])
        new = LOG[LOG["model"] == "model-0"].assign(model="new")
        for estimator in (fitted, expected):
            estimator.add_models(new, new["score"])
        P = fitted.predict_proba(LOG)
        np.testing.assert_array_equal(P, expected.predict_proba(LOG))


ALTERED = [
    LocusRouter(**SMALL, model_col="llm", encoder=QueryEncoder("name", batch_size=3)),
    LocusEmbedder(**SMALL, score_col="grade", duplicates="max", encoding_cols=["a"]),
    KNNRouter(7, query_col="q", duplicates="first"),
    KMeansRouter(3, shrinkage=2.0, random_state=1, query_id_col="id"),
    BestSingleRouter(encoding_cols=["a", "b"]),
    QueryEncoder("name", query_col="q", batch_size=5, device="cpu", verbose=1),
    text_pipeline(LocusRouter(**SMALL, warm_start=True)),
]


@pytest.mark.parametrize("estimator", ALTERED, ids=lambda e: type(e).__name__)
def test_clones_keep_every_parameter(estimator):
    copied, params = clone(estimator), estimator.get_params(deep=False)
    assert repr(copied) == repr(estimator)
    assert copied.get_params().keys() == estimator.get_params().keys()
    for name, value in copied.get_params(deep=False).items():
        if name not in ("encoder", "steps"):
            assert value == params[name]
    copied.set_params(**params)
    assert all(copied.get_params()[name] is value for name, value in params.items())


def test_fit_reassigns_no_parameter():
    for estimator in [*ROUTERS.values(), LocusEmbedder(**SMALL)]:
        fresh = clone(estimator)
        before = fresh.get_params(deep=False)
        fresh.fit(LOG, LOG["score"])
        after = fresh.get_params(deep=False)
        assert all(after[name] is value for name, value in before.items())
