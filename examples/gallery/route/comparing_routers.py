"""
Which router is better?
=======================

Several routers on one log, compared on queries that none of them has seen: with the
best single model and the oracle beside them, and with intervals of the differences.
"""

# %%
# Fit
# ---

import matplotlib.pyplot as plt

from skl_locus import KMeansRouter, KNNRouter, LinearRouter, LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.metrics import compare
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
routers = {
    "LOCUS": LocusRouter(n_components=32, max_iter=30, random_state=0),
    "linear": LinearRouter(),
    "k-means": KMeansRouter("auto", random_state=0),
    "nearest queries": KNNRouter(weights="softmax"),
}
for router in routers.values():
    router.fit(train, train["score"])

# %%
# Compare
# -------
# Differences are paired: all routers are resampled on the same models and queries.

table = compare(
    routers, test, test["score"], reference="LOCUS", task_col=None, random_state=0
)
table

# %%
# The picture
# -----------
# One model for all queries is far behind here, since each knows some of the digits
# only.

routing = table[table["metric"] == "routing_accuracy"].set_index("router")
routing = routing.sort_values("estimate")
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.errorbar(
    routing["estimate"],
    range(len(routing)),
    xerr=[
        routing["estimate"] - routing["low"],
        routing["high"] - routing["estimate"],
    ],
    fmt="o",
    capsize=4,
)
ax.set_yticks(range(len(routing)), routing.index)
ax.set(xlabel="Mean score of the chosen models, with 95% intervals")
ax.grid(axis="x", alpha=0.4)
plt.show()
