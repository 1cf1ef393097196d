"""
How many answers place a model?
===============================

An embedding is made from evaluations, and others would have made another one. How far a
model moves is read beside how far other models are away.
"""

# %%
# Embed the same models again
# ---------------------------
# Half of a model's answers make its reference. Smaller parts of it, and other answers
# in place of some of them, make embeddings to compare with it.

import matplotlib.pyplot as plt

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import StabilityDisplay, embedding_stability

log = load_digits_pool().evaluations
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(log, log["score"])
moved = embedding_stability(router, router.models_[:12], n_repeats=3, random_state=0)
moved.groupby(["change", "value"])["distance"].describe().round(3)

# %%
# The picture
# -----------
# Where the band is below the dashed line, a model is nearer to itself than to the model
# next to it.

fig, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharey=True)
for ax, change in zip(axes, ("size", "overlap"), strict=True):
    StabilityDisplay.from_predictions(moved, change=change, ax=ax)
plt.show()
