"""
Routing images
==============

Queries need not be texts. Here they are images of digits, the models are classifiers
that have each learned some of the digits or seen few images, and a router sends every
image to a classifier that reads it.
"""

# %%
# A log with images
# -----------------
# `~skl_locus.datasets.load_digits_pool` has the scores of real classifiers. The column
# "query" takes images as they are: arrays of two dimensions here, and as well images of
# Pillow, bytes, or paths of files. Equal images are one query, wherever they come from.

from sklearn.datasets import load_digits

from skl_locus.datasets import load_digits_pool

log = load_digits_pool().evaluations
images = load_digits().images
rows = log["query_id"].str.removeprefix("digit-").astype(int)
log["query"] = [images[row] for row in rows]
log[["model", "query_id", "task", "score"]].sample(3, random_state=0)

# %%
# An encoder of images
# --------------------
# Any transformer that takes a list of images will do; a sentence-transformers model of
# the kind of CLIP, such as "clip-ViT-B-32", is given by its name.

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skl_locus import KNNRouter, QueryEncoder
from skl_locus.model_selection import QueryShuffleSplit


def flatten(images):
    return np.stack([image.ravel() for image in images])


encoder = QueryEncoder(make_pipeline(FunctionTransformer(flatten), PCA(16)))
split = QueryShuffleSplit(n_splits=1, test_size=0.4, random_state=0)
train, test = (log.iloc[part] for part in next(split.split(log)))
router = KNNRouter(n_neighbors="auto", encoder=encoder).fit(train, train["score"])
# %%
# Routes
# ------
# New images are routed as texts would be. No classifier reads more than some of the
# digits; together they read nearly all.

scores = test.pivot_table(index="query_id", columns="model", values="score")
queries = [images[int(name.removeprefix("digit-"))] for name in scores.index]
routes = router.route(queries)
routed = scores.to_numpy()[np.arange(len(scores)), scores.columns.get_indexer(routes)]
print(f"routed {routed.mean():.3f}, best single model {scores.mean().max():.3f}")

# %%
# Below each image is the model that it went to. What a model has learned is in its
# name: "digits-037" are the digits 0, 3 and 7, and "40-images" forty images of any.

import matplotlib.pyplot as plt

some = np.random.default_rng(0).choice(len(queries), 12, replace=False)
fig, axes = plt.subplots(2, 6, figsize=(10, 4.2), layout="constrained")
for ax, row in zip(axes.flat, some, strict=True):
    ax.imshow(queries[row], cmap="gray_r")
    ax.set_xticks([])
    ax.set_yticks([])
    learner, learned = routes[row].split("/")
    verdict = "right" if routed[row] else "wrong"
    ax.set_xlabel(f"{learner}\n{learned}\n{verdict}", fontsize=9)
fig.suptitle("Images, and the classifiers that they were sent to")
plt.show()
