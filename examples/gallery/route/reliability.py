"""
Does a probability mean what it says?
=====================================

Of the answers that a router believes to be right with a probability of 0.8, eight in
ten should be right. A reliability diagram shows whether that is so, on queries that the
router has not seen.
"""

# %%
# A router and its predictions
# ----------------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import calibration_curve

from skl_locus import KNNRouter, LinearRouter, LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.metrics import expected_calibration_error, soft_log_loss
from skl_locus.model_selection import QueryShuffleSplit

log = make_evaluations(
    n_models=16, n_queries=800, noise=1.0, random_state=1
).evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
routers = {
    "LOCUS": LocusRouter(n_components=16, max_iter=40, random_state=0),
    "linear": LinearRouter(),
    "5 nearest queries": KNNRouter(5),
}
predicted = {
    name: router.fit(train, train["score"]).predict_proba(test)[:, 1]
    for name, router in routers.items()
}

# %%
# Two numbers
# -----------
# The calibration error is the mean distance from the diagonal. The log loss also
# rewards probabilities that tell queries apart.

for name, p in predicted.items():
    error = expected_calibration_error(test["score"], p)
    loss = soft_log_loss(test["score"], p)
    print(f"{name:18} calibration error {error:.3f}, log loss {loss:.3f}")

# %%
# The diagram
# -----------
# Below it, how often each probability was given. Five neighbours give few distinct
# numbers, and too extreme ones.

fig, (ax, counts) = plt.subplots(
    2, 1, figsize=(6, 6.5), height_ratios=(3, 1), sharex=True, layout="constrained"
)
ax.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as it should be")
for (name, p), marker in zip(predicted.items(), "os^", strict=True):
    observed, given = calibration_curve(
        test["score"], p, n_bins=10, strategy="quantile"
    )
    ax.plot(given, observed, marker=marker, label=name)
    counts.hist(p, bins=np.linspace(0, 1, 21), histtype="step", linewidth=1.5)
ax.set(ylabel="Share of right answers", xlim=(0, 1), ylim=(0, 1))
ax.legend()
counts.set(xlabel="Predicted probability of a right answer", ylabel="Rows")
plt.show()
