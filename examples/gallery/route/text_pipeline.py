"""
Texts, a pipeline and a grid search
===================================

From texts to routes with the tools of scikit-learn: an encoder and a router in a
pipeline, and a search for the parameters of both that never puts one query on both
sides of a split.
"""

# %%
# A log with texts
# ----------------
# Three models answer sums, spellings and questions on capitals, each of them well on
# two of the three kinds. The answers are made; the queries are text.

import itertools

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
words = ["river", "stone", "candle", "harbour", "meadow", "window", "lemon", "pencil"]
countries = ["France", "Peru", "Kenya", "Japan", "Norway", "India", "Egypt", "Spain"]
queries = {
    "sums": [
        f"What is {a} plus {b}?" for a, b in itertools.product(range(11, 20), repeat=2)
    ],
    "spelling": [
        f"Spell {a} and {b} backwards." for a, b in itertools.permutations(words, 2)
    ],
    "capitals": [
        f"Which is farther north, the capital of {a} or of {b}?"
        for a, b in itertools.permutations(countries, 2)
    ],
}
skill = pd.DataFrame(
    {"sums": [0.9, 0.3, 0.8], "spelling": [0.3, 0.9, 0.7], "capitals": [0.8, 0.8, 0.4]},
    index=["alpha", "beta", "gamma"],
)
log = pd.DataFrame(
    [
        (model, query, task, float(rng.random() < skill.loc[model, task]))
        for model in skill.index
        for task, texts in queries.items()
        for query in texts
    ],
    columns=["model", "query", "task", "score"],
)
log.sample(4, random_state=1)

# %%
# Search
# ------
# `~skl_locus.model_selection.QueryKFold` splits by query and
# `~skl_locus.metrics.routing_accuracy_scorer` scores the routes.

from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

from skl_locus import KMeansRouter, QueryEncoder
from skl_locus.metrics import routing_accuracy_scorer
from skl_locus.model_selection import QueryKFold

texts_to_vectors = make_pipeline(
    TfidfVectorizer(token_pattern="[a-z]+"), TruncatedSVD(random_state=0)
)
pipeline = Pipeline(
    [
        ("encode", QueryEncoder(texts_to_vectors)),
        ("route", KMeansRouter(random_state=0)),
    ]
)
search = GridSearchCV(
    pipeline,
    {
        "encode__encoder__truncatedsvd__n_components": [2, 4, 8],
        "route__n_clusters": [1, 2, 3, 6, 12],
    },
    cv=QueryKFold(5, shuffle=True, random_state=0),
    scoring=routing_accuracy_scorer,
).fit(log, log["score"])
search.best_params_

# %%
# What the search has seen
# ------------------------
# One cluster is "always the best model". Two are enough here, since two of the models
# are good at all three kinds of queries between them; more are of no use.

import matplotlib.pyplot as plt

results = pd.DataFrame(search.cv_results_)
clusters = results["param_route__n_clusters"].astype(int)
components = results["param_encode__encoder__truncatedsvd__n_components"].astype(int)
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for size, marker in zip(components.unique(), "os^", strict=True):
    rows = results[components == size]
    ax.errorbar(
        clusters[components == size] + 0.08 * (size - 4),
        rows["mean_test_score"],
        rows["std_test_score"] / np.sqrt(search.n_splits_),
        marker=marker,
        capsize=3,
        label=f"{size} components",
    )
ax.set(xlabel="Clusters of the router", ylabel="Mean score of the routes")
ax.set_title("Cross-validation over whole queries, with standard errors")
ax.legend(title="Text encoder")
plt.show()

# %%
# Routes
# ------
# The refitted pipeline routes texts that it has not seen.

best = search.best_estimator_
new = ["What is 23 plus 58?", "Spell saddle and forest backwards."]
best[-1].route(best[:-1].transform(new))
