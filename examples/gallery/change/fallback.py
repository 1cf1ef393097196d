"""
When a model is down
====================

Each query has a second choice. What does an outage cost, if the next best model
answers, or the model most like the one that is down?
"""

# %%
# A router in service
# -------------------

import matplotlib.pyplot as plt
import pandas as pd

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(train, train["score"])
queries = test.drop_duplicates("query_id")[["query_id", "query"]]
scores = test.pivot_table("score", "query_id", "model")


def mean_score(routes):
    """Look up the scores of the chosen models."""
    chosen = zip(queries["query_id"], routes, strict=True)
    return sum(scores.loc[query, model] for query, model in chosen) / len(queries)


# %%
# Outages
# -------
# The models that are chosen most often fail one after another, the worst case.

usual = pd.Series(router.route(queries))
busiest = usual.value_counts().index.tolist()
rows = [
    (
        n_down,
        fallback,
        mean_score(
            router.route(queries, unavailable=busiest[:n_down], fallback=fallback)
        ),
    )
    for n_down in range(0, 11, 2)
    for fallback in ("rerank", "neighbor")
]
outages = pd.DataFrame(rows, columns=["down", "fallback", "score"])
outages.pivot_table("score", "down", "fallback").round(3)

# %%
# The picture
# -----------
# One log and one order of outages: there is nothing to average. The dotted line is the
# best single model, which is up all the time.

best = train.groupby("model")["score"].mean().idxmax()
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
labels = {"rerank": "next best model", "neighbor": "most similar model"}
for (name, part), marker in zip(outages.groupby("fallback"), "os", strict=True):
    ax.plot(part["down"], part["score"], marker=marker, label=labels[name])
ax.axhline(scores[best].mean(), color="grey", linestyle=":", label="best single model")
ax.set(xlabel="Models that are down", ylabel="Mean score of the routes")
ax.legend()
plt.show()

# %%
# For the configuration of a gateway, the ordered substitutes of each model:

router.fallback_table(k=2).head(3)
