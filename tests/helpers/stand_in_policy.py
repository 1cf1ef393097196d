"""A policy small enough to know by heart what it must choose."""

import numpy as np
import pandas as pd


class WeightPolicy:
    """Choose the model of the largest P - weight * cost, costs by label."""

    def __init__(self, router, costs, weight=0.0):
        self.router = router
        self.models_ = router.models_
        self.cost_model_ = costs
        self.weight = weight

    def costs(self, queries):
        costs = [self.cost_model_[label] for label in self.models_]
        return np.tile(np.array(costs, dtype=float), (len(queries), 1))

    def route(self, queries, unavailable=(), budget=None):
        worth = self._worth(queries)
        worth[
            :, np.isin(self.models_.astype(str), [str(m) for m in unavailable])
        ] = -np.inf
        return self.models_[worth.argmax(axis=1)]

    def choose(self, queries, budget=None):
        P, costs = self.router.correctness_matrix(queries), self.costs(queries)
        best = self._worth(queries).argmax(axis=1)
        rows = np.arange(len(best))
        return pd.DataFrame(
            {
                "model": self.models_[best],
                "probability": P[rows, best],
                "cost": costs[rows, best],
                "reached": True,
            }
        )

    def _worth(self, queries):
        P = self.router.correctness_matrix(queries).astype(float)
        return P - self.weight * self.costs(queries)
