"""
How many models are enough?
===========================

A portfolio is a small part of the pool. The curve shows how well routing does among the
models of portfolios of growing size, beside portfolios drawn at random and the models
of the highest mean scores.
"""

# %%
# A router, and queries that it has not seen
# ------------------------------------------

import matplotlib.pyplot as plt

from skl_locus import LocusRouter
from skl_locus.datasets import load_digits_pool
from skl_locus.inspection import PortfolioCurveDisplay
from skl_locus.model_selection import QueryShuffleSplit

log = load_digits_pool().evaluations
halves = QueryShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = (log.iloc[rows] for rows in next(halves.split(log)))
router = LocusRouter(n_components=32, max_iter=30, random_state=0)
router = router.fit(train, train["score"])

# %%
# The curve
# ---------
# Each of these classifiers knows some of the digits only, so a portfolio has to hold
# models of different kinds. The best few single models do not cover all digits.

display = PortfolioCurveDisplay.from_estimator(
    router, test, test["score"], sizes=[1, 2, 4, 8, 12, 16], n_random=10, random_state=0
)
display.figure_.set_size_inches(11, 4.5)
plt.show()

# %%
# The same as a table
# -------------------

display.curve.round(3)
