"""
Families of models
==================

A dendrogram orders the models of a pool by how differently they answer, and the matrix
below it shows blocks of models that could stand in for one another.
"""

# %%
# Distances between models
# ------------------------
# The distance of two models of a router is the root of the mean square difference of
# their scores, estimated for queries that one of them has not answered, too. The pool
# is made, with four families.

import matplotlib.pyplot as plt

from skl_locus import LocusRouter
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import DistanceHeatmapDisplay, model_distances

pool = make_evaluations(n_models=20, n_queries=300, noise=0.3, random_state=3)
log = pool.evaluations
router = LocusRouter(n_components=16, max_iter=30, random_state=0)
router = router.fit(log, log["score"])
distances = model_distances(router)
distances.iloc[:4, :4].round(2)

# %%
# Blocks
# ------
# The families are not shown to the router, and only colour the names.

fig, ax = plt.subplots(figsize=(8, 7), layout="constrained")
DistanceHeatmapDisplay.from_estimator(router, color=pool.models["family"], ax=ax)
plt.show()

# %%
# Nearest models
# --------------
# The same distances name the substitutes of a model.

router.neighbors(router.models_[0], k=3).round(3)
