"""
Estimate a mean score from a few answers
========================================

A benchmark has hundreds of queries. What other models have answered says what the rest
of a new model's answers probably are, so that a few of them give its mean score with an
interval.
"""

# %%
# A pool that knows the benchmark
# -------------------------------

import matplotlib.pyplot as plt
import pandas as pd

from skl_locus import LocusRouter
from skl_locus.adaptive import AdaptiveEvaluation
from skl_locus.datasets import load_digits_pool

log = load_digits_pool().evaluations
model = "knn-3/digits-037"
known, own = log[log["model"] != model], log[log["model"] == model]
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(known, known["score"])

# %%
# Ask and tell
# ------------
# The evaluation names queries in batches and takes their scores.

answers = own.set_index("query_id")["score"]  # stands for the evaluated model
evaluation = AdaptiveEvaluation(
    router, own[["query_id", "query"]], goal="score", random_state=0
)
rows = []
for _ in range(8):
    ids = evaluation.ask(16)["query_id"]
    evaluation = evaluation.tell(ids, answers[ids])
    score = evaluation.result(model).score
    rows.append((score.n_observed, score.mean, score.low, score.high))
estimates = pd.DataFrame(rows, columns=["answers", "mean", "low", "high"])
estimates.round(3)

# %%
# The picture
# -----------
# The interval shrinks around the mean over all queries, which is known here. The
# package's own measurements say that the completed table saves evaluations, and the
# choice of queries hardly does (:ref:`adaptive-results`).

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ax.axhline(answers.mean(), color="grey", linestyle=":", label="mean of all answers")
ax.errorbar(
    estimates["answers"],
    estimates["mean"],
    [estimates["mean"] - estimates["low"], estimates["high"] - estimates["mean"]],
    marker="o",
    capsize=4,
    label="estimate, 90% interval",
)
ax.set(xlabel=f"Answers, of {len(answers)}", ylabel=f"Mean score of {model}")
ax.legend()
plt.show()
