"""
Why this model?
===============

A router that sends a query to an unexpected model is asked why. Each probability is
split into what its parts add: the model's mean, its scores on similar queries, its
regression and the network.
"""

# %%
# A router and four new queries
# -----------------------------
# The log is real: classifiers of handwritten digits, each trained on some of the digits
# only.

import matplotlib.pyplot as plt

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import ExplanationDisplay
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(train, train["score"])
queries = test.drop_duplicates("query_id").sample(4, random_state=0)
queries = queries[["query_id", "query", "task"]]

# %%
# In words and in tables
# ----------------------
# The similar queries are those of the log; here with the scores of the chosen model.

explanation = router.explain(queries[["query_id", "query"]], k=3, log=train)
print(explanation)

# %%
explanation.similar.head()

# %%
# As a picture
# ------------
# Bars to the right speak for a model and bars to the left against it; the diamond is
# their sum.

display = ExplanationDisplay.from_explanation(explanation, query=0)
display.ax_.set_title(f"A picture of {queries['task'].iloc[0]}: why these models?")
plt.show()
