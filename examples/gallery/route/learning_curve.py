"""
How much log is enough?
=======================

Evaluations cost money. A learning curve over whole queries shows what twice as many of
them would bring, and when a simple router is as good.
"""

# %%
# Fit on growing parts
# --------------------
# The test queries are the same for all sizes, and the smaller parts are drawn several
# times.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.base import clone

from skl_locus import BestSingleRouter, KMeansRouter, LinearRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.metrics import neg_soft_log_loss_scorer, routing_accuracy_scorer
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
routers = {
    "linear": LinearRouter(),
    "k-means": KMeansRouter(random_state=0),
    "best single": BestSingleRouter(),
}
rows = []
for size in (25, 50, 100, 200, 400):
    draws = QueryShuffleSplit(n_splits=4, train_size=size, random_state=0)
    for part, _ in draws.split(train):
        seen = train.iloc[part]
        for name, router in routers.items():
            fitted = clone(router).fit(seen, seen["score"])
            rows.append(
                {
                    "queries": size,
                    "router": name,
                    "log loss": -neg_soft_log_loss_scorer(fitted, test, test["score"]),
                    "mean score of routes": routing_accuracy_scorer(
                        fitted, test, test["score"]
                    ),
                }
            )
curve = pd.DataFrame(rows).groupby(["router", "queries"]).agg(["mean", "std"])
curve["mean score of routes"].round(3)

# %%
# The curves
# ----------
# Bars are standard deviations over the draws of the training queries.

fig, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for ax, measure in zip(axes, ("log loss", "mean score of routes"), strict=True):
    for name, marker in zip(routers, "os^", strict=True):
        part = curve.loc[name, measure]
        ax.errorbar(
            part.index, part["mean"], part["std"], marker=marker, capsize=3, label=name
        )
    ax.set_xscale("log")
    ax.set_xticks([25, 50, 100, 200, 400], [25, 50, 100, 200, 400])
    ax.minorticks_off()
    ax.set(xlabel="Training queries", ylabel=measure.capitalize())
axes[1].legend()
plt.show()
