"""
How much log is enough?
=======================

Evaluations cost money. A learning curve over whole queries shows what twice as many of
them would bring, and from how many on a router is better than one model for all.
"""

# %%
# Fit on growing parts
# --------------------
# The learning curve of scikit-learn takes the first rows, which are those of one model
# where a log is sorted by model. `~skl_locus.model_selection.query_learning_curve`
# draws queries, with the rows of all models.

import matplotlib.pyplot as plt
import pandas as pd

from skl_locus import BestSingleRouter, KMeansRouter, LinearRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import QueryLearningCurveDisplay
from skl_locus.metrics import routing_accuracy_scorer
from skl_locus.model_selection import QueryShuffleSplit, query_learning_curve

log = load_digits_pool().evaluations
options = {
    "train_sizes": [25, 50, 100, 200, 300],
    "cv": QueryShuffleSplit(n_splits=4, test_size=0.5, random_state=0),
    "scoring": routing_accuracy_scorer,
    "random_state": 0,
}
routers = {
    "linear": LinearRouter(),
    "k-means": KMeansRouter(random_state=0),
    "best single": BestSingleRouter(),
}
curves = {
    name: query_learning_curve(router, log, log["score"], **options)
    for name, router in routers.items()
}
table = pd.concat(curves, names=["router"])
table.groupby(["router", "n_queries"])["score"].agg(["mean", "std"]).round(3)

# %%
# The curves
# ----------
# Grey points are the splits. The dashed line is what the best single model of 300
# queries scores.

single = curves["best single"].query("n_queries == 300")["score"].mean()
fig, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharey=True)
for ax, name in zip(axes, ("linear", "k-means"), strict=True):
    QueryLearningCurveDisplay.from_curve(
        curves[name], score_name="Mean score of routes", ax=ax
    )
    ax.axhline(single, linestyle="--", color="black", label="best single model")
    ax.set_title(f"{type(routers[name]).__name__}")
    ax.legend(loc="center right")
plt.show()
