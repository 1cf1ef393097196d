"""Docstrings of the public classes: literal, complete, and alike where they share."""

import ast
import inspect
import re
from itertools import combinations
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import skl_locus
import skl_locus.datasets
import skl_locus.exceptions
import skl_locus.inspection
import skl_locus.metrics
import skl_locus.model_selection
import skl_locus.portfolio
from skl_locus.datasets import make_evaluations

MODULES = (
    skl_locus,
    skl_locus.datasets,
    skl_locus.inspection,
    skl_locus.metrics,
    skl_locus.model_selection,
    skl_locus.portfolio,
)
PUBLIC = {name: getattr(module, name) for module in MODULES for name in module.__all__}
CLASSES = {name: thing for name, thing in PUBLIC.items() if isinstance(thing, type)}

SIMPLE_ROUTERS = ("BestSingleRouter", "KMeansRouter", "KNNRouter", "LinearRouter")
CLUSTER_ROUTERS = ("AvengersRouter", "ProxRouter", "UniRouteRouter")
VECTOR_ROUTERS = ("EmbedLLMRouter", "IRTRouter", "JEIRTRouter", "MIRTRouter")
LOCUS = ("LocusEmbedder", "LocusRouter")
PORTFOLIOS = ("BudgetPortfolio", "KCenterPortfolio", "KMedoidsPortfolio")
ESTIMATORS = (
    *SIMPLE_ROUTERS,
    *CLUSTER_ROUTERS,
    *VECTOR_ROUTERS,
    *LOCUS,
    "LLMDNAEmbedder",
)

GROUPS = {
    "simple routers": (SIMPLE_ROUTERS, {"shrinkage"}),
    "routers with clusters": (
        ("KMeansRouter", *CLUSTER_ROUTERS),
        # Defaults of the papers, and temperatures of different weights.
        {"n_clusters", "shrinkage", "temperature"},
    ),
    "vector routers": (
        VECTOR_ROUTERS,
        # Defaults of the authors' code, and hidden layers of several kinds of network;
        # early stopping has a part in new vectors unless they are convex fits.
        {
            "n_components",
            "hidden_size",
            "query_noise",
            "alpha",
            "batch_size",
            "learning_rate_init",
            "early_stopping",
        },
    ),
    "LOCUS estimators": (LOCUS, {"score_col"}),
    "portfolios": (
        PORTFOLIOS,
        # Only k-medoids sorts its choice, samples a large pool and makes swaps.
        {"memory_limit", "selected_indices_", "coverage_path_"},
    ),
    "all portfolios": (
        (*PORTFOLIOS, "ExpectedScorePortfolio"),
        {
            "memory_limit",
            "selected_indices_",
            "coverage_path_",
            # Expected scores need no similarities, and their columns are queries.
            "n_models",
            "budget",
            "must_include",
            "exclude",
            "strategy_",
            "n_features_in_",
        },
    ),
    "readers of evaluation tables": (
        ESTIMATORS,
        {
            # A seed of k-means or of a random matrix is not that of a training.
            "random_state",
            # Defaults of papers, and widths of different weights.
            "n_clusters",
            "temperature",
            # LLM-DNA encodes responses, too, and averages or refuses repeated ones.
            "encoder",
            "duplicates",
            "shrinkage",
            "score_col",
            # LOCUS and free vectors are trained in different ways.
            "n_components",
            "hidden_size",
            "query_noise",
            "alpha",
            "max_iter",
            "batch_size",
            "learning_rate_init",
            "early_stopping",
            "validation_fraction",
            "n_iter_no_change",
            "precision",
            # What is left out in a step differs between networks.
            "dropout",
            # Vectors of mean scores in clusters are embeddings, too.
            "embeddings_",
            # The penalty and the slopes are those of regressions, or of one map.
            "alpha_",
            "coef_",
        },
    ),
}
"""Classes that share parameters and attributes, and the names that differ on purpose.

Shared names have the same type, default and description in all classes of a group.
"""


def documented(cls):
    """Return the type and text of each documented parameter and attribute."""
    sections = ClassDoc(cls)
    return {
        name.strip(): (entry.type, " ".join(entry.desc))
        for section in ("Parameters", "Attributes")
        for entry in sections[section]
        for name in entry.name.split(",")
    }


def differing(names):
    """Return the shared names whose documentation differs between classes."""
    texts = [documented(CLASSES[name]) for name in names]
    return {
        name
        for one, other in combinations(texts, 2)
        for name in one.keys() & other.keys()
        if one[name] != other[name]
    }


@pytest.mark.parametrize("group", GROUPS)
def test_shared_names_are_documented_alike_unless_listed(group):
    names, meant = GROUPS[group]
    assert differing(names) == meant


def stated_defaults(documentation):
    """Return the default that the documentation states for each parameter.

    One entry may document several parameters, with one default each or one for all.
    """
    defaults = {}
    for entry in documentation["Parameters"]:
        match = re.search(r"default=(.*)$", entry.type)
        if match is None:
            continue
        names = [name.strip() for name in entry.name.split(",")]
        # Some defaults are functions of the package, or powers: no plain literals.
        values = eval(f"({match[1]},)", dict(PUBLIC))
        if len(values) == 1:
            values *= len(names)
        defaults |= dict(zip(names, values, strict=True))
    return defaults


def public_methods(name):
    """Return the public methods of a class that the package itself defines."""
    methods = inspect.getmembers(CLASSES[name], inspect.isfunction)
    return {
        f"{name}.{method}": function
        for method, function in methods
        if function.__module__.startswith("skl_locus") and not method.startswith("_")
    }


FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}
for class_name in CLASSES:
    FUNCTIONS |= public_methods(class_name)


@pytest.mark.parametrize("name", CLASSES)
def test_stated_defaults_of_a_class_are_those_of_its_signature(name):
    check_stated_defaults(CLASSES[name], ClassDoc(CLASSES[name]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_stated_defaults_of_a_function_are_those_of_its_signature(name):
    check_stated_defaults(FUNCTIONS[name], FunctionDoc(FUNCTIONS[name]))


def check_stated_defaults(thing, documentation):
    parameters = inspect.signature(thing).parameters
    actual = {name: parameter.default for name, parameter in parameters.items()}
    stated = stated_defaults(documentation)
    assert stated == {name: actual[name] for name in stated}


@pytest.mark.parametrize("name", [*ESTIMATORS, *PORTFOLIOS, "ExpectedScorePortfolio"])
def test_every_default_is_stated(name):
    cls = CLASSES[name]
    assert stated_defaults(ClassDoc(cls)).keys() == set(cls._get_param_names())


@pytest.mark.parametrize("name", CLASSES)
def test_help_is_what_stands_in_the_source(name):
    cls = CLASSES[name]
    tree = ast.parse(Path(inspect.getfile(cls)).read_text())
    (node,) = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    assert inspect.getdoc(cls) == ast.get_docstring(node)


@pytest.fixture(scope="module")
def fitted():
    """Fit every reader of evaluation tables to one small numeric table."""
    log = make_evaluations(n_models=4, n_queries=16, random_state=0).evaluations
    vectors = {f"x{i}": log["query"].str[i] for i in range(3)}
    table = log[["model", "query_id"]].assign(**vectors, score=log["score"])
    answers = table.assign(response=list(log["query"]))
    estimators = {}
    for name in ESTIMATORS:
        options = {"max_iter": 1} if name in (*VECTOR_ROUTERS, *LOCUS) else {}
        estimator = CLASSES[name](encoding_cols=list(vectors), **options)
        X = answers if name == "LLMDNAEmbedder" else table
        estimators[name] = estimator.fit(X, table["score"])
    return estimators


@pytest.mark.parametrize("name", ESTIMATORS)
def test_documented_attributes_are_those_of_a_fitted_estimator(fitted, name):
    estimator = fitted[name]
    attributes = {
        attribute
        for attribute in dir(estimator)
        if attribute.endswith("_") and not attribute.startswith("_")
    }
    entries = [entry.name for entry in ClassDoc(type(estimator))["Attributes"]]
    assert {part.strip() for e in entries for part in e.split(",")} == attributes
