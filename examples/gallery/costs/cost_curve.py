"""
Cost against quality
====================

One dial, from "always the cheapest model" to "whatever is best": how much quality does
each step cost, and how far is routing above mixtures of single models?
"""

# %%
# A pool with prices
# ------------------
# Better models are dearer, and each is good at some tasks.

import textwrap

import matplotlib.pyplot as plt

from skl_locus import LinearRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import routing_headroom
from skl_locus.metrics import cost_quality_curve, zero_router_hull
from skl_locus.model_selection import QueryShuffleSplit

pool = make_evaluations(n_models=8, n_queries=1200, noise=0.2, random_state=0)
log = pool.evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
router = LinearRouter().fit(train, train["score"])
pool.models[["family", "cost"]].round(2)

# %%
# The curve
# ---------
# Each point is a weight of cost, ``P - weight * cost``, replayed on queries that the
# router has not seen.

costs = pool.models["cost"].to_dict()
rows = {"queries": test["query_id"], "models": test["model"]}
curve = cost_quality_curve(
    test["score"], router.predict_proba(test)[:, 1], costs, **rows
)
hull = zero_router_hull(test["score"], costs, **rows)
curve.tail(3).round(3)

# %%
# The picture
# -----------
# A mixture of two single models, drawn at random, lies on the line between them: what
# is above the dashed line is what the router knows. Below stands what choosing a model
# by task or by cluster of queries could win on these queries, whatever the router.

single = test.groupby("model")["score"].mean()
fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
ax.plot(curve["cost"], curve["quality"], label="routing")
ax.plot(hull["cost"], hull["quality"], "--", color="grey", label="mixtures of models")
ax.scatter([costs[name] for name in single.index], single, color="black", zorder=3)
for name, score in single.items():
    is_cheapest = costs[name] == min(costs.values())
    side = ("right", -5) if is_cheapest else ("left", 5)
    place = {"xytext": (side[1], -11), "textcoords": "offset points", "ha": side[0]}
    ax.annotate(name, (costs[name], score), fontsize=8, **place)
ax.margins(0.12)
ax.set(xlabel="Cost per query (unit of the pool)", ylabel="Mean score")
ax.legend()
headroom = routing_headroom(test, test["score"], random_state=0)
fig.supxlabel(textwrap.fill(f"What routing can win: {headroom}", 90), fontsize="small")
plt.show()
