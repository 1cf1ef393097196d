"""
A new model, from few evaluations
=================================

A model that was not there when the router was fitted is added with some of its
evaluations, without training. How many are enough?
"""

# %%
# A pool without three of its models
# ----------------------------------

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.metrics import soft_log_loss
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
new = np.random.default_rng(0).choice(log["model"].unique(), 3, replace=False)
known = train[~train["model"].isin(new)]
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(known, known["score"])
new

# %%
# Add and measure
# ---------------
# The evaluations are drawn at random, with ``sample``: the first rows of a log are
# often all of one task. They are added to the same router with ``replace=True``.

rows = []
for model in new:
    own, unseen = train[train["model"] == model], test[test["model"] == model]
    for size in (8, 16, 32, 64, 128, 256):
        for seed in range(3):
            few = own.sample(size, random_state=seed)
            router.add_models(few, few["score"], replace=True)
            p = router.predict_proba(unseen)[:, 1]
            mean = np.full(len(unseen), np.clip(few["score"].mean(), 0.02, 0.98))
            rows.append((model, size, "router", soft_log_loss(unseen["score"], p)))
            rows.append((model, size, "own mean", soft_log_loss(unseen["score"], mean)))
losses = pd.DataFrame(rows, columns=["model", "size", "prediction", "log loss"])
curve = losses.groupby(["prediction", "size"])["log loss"].agg(["mean", "sem"])

# %%
# The picture
# -----------
# Beside the router, the mean of the same evaluations: an embedding has to beat it.

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, marker in (("own mean", "s"), ("router", "o")):
    part = curve.loc[name]
    ax.errorbar(
        part.index, part["mean"], part["sem"], marker=marker, capsize=3, label=name
    )
ax.set_xscale("log", base=2)
ax.set_xticks(part.index, part.index)
ax.set(xlabel="Evaluations of the new model", ylabel="Log loss on unseen queries")
ax.set_title(f"{len(new)} new models, 3 draws each, with standard errors")
ax.legend()
plt.show()
