"""
Has a model changed?
====================

Behind the same name, an endpoint may serve another model tomorrow. A test on new
answers says whether they are still those of the model as it was.
"""

# %%
# A router, and new answers of one model
# --------------------------------------
# Half of the queries are for the fit. In the other half, the model answers as before;
# or a neighbour has quietly taken its place.

import matplotlib.pyplot as plt

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import drift_test

log = load_digits_pool().evaluations
model = "svc-rbf/digits-037"
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(log, log["score"])
other = router.neighbors(model, k=1).index[0]
other

# %%
# The test
# --------
# Answers are exchanged between old and new at random: if nothing has changed, the
# exchange makes no difference.

again = log[log["model"] == model].sample(200, random_state=1)
swapped = log[log["model"] == other].sample(200, random_state=1)
same = drift_test(router, model, again, again["score"], random_state=0)
changed = drift_test(router, model, swapped, swapped["score"], random_state=0)
print(f"as before: p = {same.p_value:.3f}, agreement {same.agreement:.2f}")
print(f"replaced:  p = {changed.p_value:.3f}, agreement {changed.agreement:.2f}")

# %%
# The picture
# -----------
# Grey is what exchanges produce if nothing has changed, the line is what was observed.

fig, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
titles = ("The same model", f"Replaced by {other}")
for ax, result, title in zip(axes, (same, changed), titles, strict=True):
    ax.hist(result.null, bins=40, color="silver")
    ax.axvline(result.statistic, color="C1", linewidth=2)
    ax.set(xlabel="Statistic of the test", title=f"{title}: p = {result.p_value:.3f}")
axes[0].set(ylabel="Random exchanges")
plt.show()
