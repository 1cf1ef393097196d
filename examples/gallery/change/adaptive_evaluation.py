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
import numpy as np
import pandas as pd

from skl_locus import LocusRouter
from skl_locus.adaptive import AdaptiveEvaluation, LearningCurveDisplay, estimate_score
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

# %%
# Several models
# --------------
# One model may be lucky. Here the estimate from answers drawn at random, and the plain
# mean of the same answers, for five models that the router does not know; bands are two
# standard errors over models and draws.

others = log["model"].drop_duplicates().sample(5, random_state=0)
known = log[~log["model"].isin(others)]
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(known, known["score"])
rows = []
for n_answers in (8, 16, 32, 64, 128):
    errors = {"completed table": [], "mean of the answers": []}
    for name in others:
        own = log[log["model"] == name]
        for seed in range(6):
            few = own.sample(n_answers, random_state=seed)
            estimate = estimate_score(router, few, few["score"], own["query"])
            truth = own["score"].mean()
            errors["completed table"].append(abs(estimate.mean - truth))
            errors["mean of the answers"].append(abs(few["score"].mean() - truth))
    for method, values in errors.items():
        mean, error = np.mean(values), np.std(values) / np.sqrt(len(values))
        rows.append((method, n_answers, mean, mean - 2 * error, mean + 2 * error))
names = ["method", "n_evaluations", "error", "low", "high"]
LearningCurveDisplay.from_predictions(
    pd.DataFrame(rows, columns=names), metric="Mean absolute error of the mean score"
)
plt.show()
