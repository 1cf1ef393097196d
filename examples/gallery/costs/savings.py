"""
What would routing have saved?
==============================

A policy is told to be as good as the best single model, and finds by itself how cheap
that can be. Its choices are then replayed on queries that nothing has been fitted on.
"""

# %%
# Three parts of a log
# --------------------
# One part for the router, one for the policy, one for the replay.

import matplotlib.pyplot as plt

from skl_locus import CostModel, LinearRouter, RouterPolicy
from skl_locus.datasets import make_evaluations
from skl_locus.inspection import SavingsDisplay, savings_report
from skl_locus.model_selection import QueryShuffleSplit

log = make_evaluations(
    n_models=6, n_queries=2400, noise=0.2, random_state=0
).evaluations
first = QueryShuffleSplit(n_splits=1, train_size=600, random_state=0)
train, rest = (log.iloc[rows] for rows in next(first.split(log)))
second = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
held_out, test = (rest.iloc[rows] for rows in next(second.split(rest)))

# %%
# The policy
# ----------

router = LinearRouter().fit(train, train["score"])
costs = CostModel().fit(train)
policy = RouterPolicy(router, cost_model=costs, target_quality="best_single")
policy = policy.fit(held_out, held_out["score"])

# %%
# The replay
# ----------
# The report says in a sentence what was saved, and whether the log is large enough to
# say so.

report = savings_report(policy, test, random_state=0)
print(report)

# %%
# The picture
# -----------
# Points have their intervals; the curve is the same router with every weight of cost.

fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
SavingsDisplay.from_report(report, ax=ax)
plt.show()
