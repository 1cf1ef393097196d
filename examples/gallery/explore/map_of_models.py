"""
Map of models
=============

Each model of a pool becomes a point, so that models that solve the same queries lie
near each other. The log is real: classifiers of handwritten digits, each trained on
some of the digits only.
"""

# %%
# A log of evaluations
# --------------------
# One row per model and query, with the score of the answer.

from skl_locus import LocusEmbedder
from skl_locus.datasets import load_digits_pool

pool = load_digits_pool()
log = pool.evaluations
log[["model", "query_id", "task", "score"]].sample(4, random_state=0)

# %%
# One vector per model
# --------------------
# The embedder reads rows of many models and returns one row for each of them.

embedder = LocusEmbedder(n_components=32, max_iter=20, random_state=0)
embeddings = embedder.fit_transform(log)
embeddings.shape

# %%
# The map
# -------
# Models that were trained on the same digits answer alike, whatever their kind: colours
# are the digits of the training, which the embedder does not know.

import matplotlib.pyplot as plt

from skl_locus.inspection import EmbeddingMapDisplay

fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
digits = pool.models["trained_on"].rename("trained on").reindex(embeddings.index)
EmbeddingMapDisplay.from_predictions(embeddings, color=digits, ax=ax)
ax.set_title("Digit classifiers, by the digits they were trained on")
plt.show()
