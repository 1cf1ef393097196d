"""
Has a model changed?
====================

Behind the same name, an endpoint may serve another model tomorrow. A test on new
answers says whether they are still those of the model as it was.
"""

# %%
# A router, and new answers of one model
# --------------------------------------
# The model is asked 150 of the queries again. It does not answer in the same way every
# time: one answer in ten is another one. Or a model of like ability has quietly taken
# its place.

import matplotlib.pyplot as plt
import numpy as np

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import drift_test

rng = np.random.default_rng(0)
log = make_evaluations(n_models=12, n_queries=300, random_state=0).evaluations
router = LocusRouter(n_components=16, max_iter=20, random_state=0)
router = router.fit(log, log["score"])

model = "model-00"
means = log.groupby("model")["score"].mean()
other = (means.drop(model) - means[model]).abs().idxmin()
means[[model, other]].round(3)


def ask_again(name):
    """Return new answers of a model, one in ten of them different."""
    asked = log[log["model"] == name].sample(150, random_state=1)
    changed = rng.random(len(asked)) < 0.1
    return asked.assign(score=np.where(changed, 1 - asked["score"], asked["score"]))


# %%
# The test
# --------
# Answers are exchanged between old and new at random: if nothing has changed, the
# exchange makes no difference. The means alone would say nothing here.

again, swapped = ask_again(model), ask_again(other)
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
