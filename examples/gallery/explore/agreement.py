"""
Do near models agree?
=====================

A map of models is worth something if models that lie near each other give the same
answers to queries that the map was not made of. This is how to check it.
"""

# %%
# Two halves of the queries
# -------------------------
# Distances come from one half, disagreements from the other.

import matplotlib.pyplot as plt

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import (
    DistanceAgreementDisplay,
    NeighborAgreementDisplay,
    disagreement,
    distance_agreement,
    model_distances,
)
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
first, second = (log.iloc[rows] for rows in next(halves.split(log)))
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(first, first["score"])

# %%
# How strong is the relation?
# ---------------------------
# Pairs of models are not independent, so the intervals come from resampled models.

distances = model_distances(router)
differences = disagreement(second, second["score"])
distance_agreement(distances, differences, n_resamples=100, random_state=0).round(3)

# %%
# Every pair, and the nearest neighbours
# --------------------------------------
# Left, one point for each pair of models. Right, how often a model agrees with its
# nearest, second nearest and further neighbours; the line is the mean of all pairs.

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
DistanceAgreementDisplay.from_predictions(distances, differences, ax=left)
NeighborAgreementDisplay.from_predictions(distances, differences, k=8, ax=right)
plt.show()
