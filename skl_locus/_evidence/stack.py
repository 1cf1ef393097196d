"""Stacked evidence: the features of all models and what they are weighed with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.factors import FactorModel
from skl_locus._evidence.ability import RaschDifficulties
from skl_locus._evidence.base import (
    Feature,
    ModelContext,
    PoolContext,
    QueryFunctions,
)
from skl_locus._evidence.novelty import NoveltyDiscount
from skl_locus._evidence.packed import PackedEvidence, pack_features
from skl_locus._evidence.weights import reliability_of, starting_share


@dataclass(frozen=True)
class PoolEvidence:
    """What all models share, learned at fit and kept as it is from then on.

    Parameters
    ----------
    features : mapping of str to Feature
        Fitted features by name, the anchor first.
    difficulties : RaschDifficulties
        How hard queries are, for the adjusted means of new models.
    novelty : NoveltyDiscount
        Weight of evidence about a query by its distance from the known ones.
    weights : mapping of str to float
        Weight of each feature in P(correct).
    decision_weights : mapping of str to float
        Weight of the anchor, and of the departures of the others from it, in choices.
    network_share : float
        Share of the network's logit, in [0, 1].
    decision_evaluations : float
        Evaluations at which departures get half their weight in choices.
    """

    features: Mapping[str, Feature]
    difficulties: RaschDifficulties
    novelty: NoveltyDiscount
    weights: Mapping[str, float]
    decision_weights: Mapping[str, float]
    network_share: float
    decision_evaluations: float

    @classmethod
    def fit(cls, pool: PoolContext) -> PoolEvidence:
        """Fit all features; the weights are where they start."""
        config = pool.config
        return cls(
            features={spec.name: spec.fit(pool) for spec in config.features},
            difficulties=pool.difficulties,
            novelty=_fit_novelty(pool),
            weights=config.weights,
            decision_weights=config.decision_weights,
            network_share=starting_share(len(pool.evaluations.queries), config),
            decision_evaluations=config.decision_evaluations,
        )


@dataclass(frozen=True)
class EvidenceStack:
    """What each model's own scores say about it: named features and their weights.

    All models share what the features learned from the pool and the weights, so that
    a new model needs no training: its features follow from its own evaluations.
    Predictions are weighted sums of the features and the network's logit; the
    formulas are in ``docs/paper.rst``, "Local evidence". Nothing here depends on
    which features there are, except that the first is the anchor.

    Parameters
    ----------
    shared : PoolEvidence
        What does not depend on the model.
    models : ndarray of labels, (n_models,)
        Order of the models.
    sizes : ndarray of shape (n_models,)
        Numbers of evaluations.
    functions : mapping of str to QueryFunctions
        Each feature as a function of the query, for all models.
    """

    shared: PoolEvidence
    models: np.ndarray
    sizes: np.ndarray
    functions: Mapping[str, QueryFunctions]

    @classmethod
    def from_evaluations(
        cls, shared: PoolEvidence, evaluations: EvaluationSet, models: np.ndarray
    ) -> EvidenceStack:
        """Take the evidence of models, in the order given."""
        context = _model_context(shared, evaluations, models, models[:0], models)
        functions = {
            name: feature.functions(context)
            for name, feature in shared.features.items()
        }
        return cls(shared, models, evaluations.sizes[context.order], functions)

    def updated(
        self, evaluations: EvaluationSet, models: np.ndarray, changed: Collection
    ) -> EvidenceStack:
        """Take the evidence of other evaluations; all that is shared stays.

        Parameters
        ----------
        evaluations : EvaluationSet
            All evaluations of the models, old and new.
        models : ndarray of labels
            Order of the models.
        changed : collection of labels
            New models and those with other evaluations.

        Returns
        -------
        EvidenceStack
            The new evidence; of models that have not changed, the same to the bit.
        """
        context = _model_context(self.shared, evaluations, models, self.models, changed)
        functions = {
            name: feature.updated(self.functions[name], context)
            for name, feature in self.shared.features.items()
        }
        return replace(
            self,
            models=models,
            sizes=evaluations.sizes[context.order],
            functions=functions,
        )

    def completing(self, model: FactorModel, queries: QuerySet) -> EvidenceStack:
        """Take what a factor model expects of new models into account from now on.

        Parameters
        ----------
        model : FactorModel
            Of the pool that the evidence was fitted to.
        queries : QuerySet
            All queries of the pool.

        Returns
        -------
        EvidenceStack
            With the same functions for the models of the pool.
        """
        features = {
            name: feature.completing(model, queries, len(self.models))
            for name, feature in self.shared.features.items()
        }
        return replace(self, shared=replace(self.shared, features=features))

    def take(self, columns: np.ndarray, models: np.ndarray) -> EvidenceStack:
        """Keep the evidence of some models, under the labels given."""
        functions = {name: f.take(columns) for name, f in self.functions.items()}
        return replace(
            self,
            models=models,
            sizes=self.sizes[columns],
            functions=functions,
        )

    @property
    def anchor_logits(self) -> np.ndarray:
        """What predictions fall back to far from all known queries: (n_models,)."""
        return next(iter(self.functions.values())).intercept

    def values(self, encodings: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Stack all features: (n_queries, n_columns, n_features), float32.

        Features are in the order of ``functions``.
        """
        stacked = [f.values(encodings, columns) for f in self.functions.values()]
        return np.stack(stacked, axis=-1, dtype=np.float32, casting="same_kind")

    def trust(self, encodings: np.ndarray) -> np.ndarray:
        """Return the weight of all that departs from the anchor: (n_queries,)."""
        novelty = self.shared.novelty
        squares = novelty.clusters.squared_distances(encodings)
        return novelty.weight(np.sqrt(squares.min(axis=1)))

    def pack(self) -> PackedEvidence:
        """Work everything but the query into arrays, for prediction."""
        shared = self.shared
        return pack_features(
            self.functions,
            self.anchor_logits,
            shared.weights,
            shared.decision_weights,
            reliability_of(self.sizes, shared.decision_evaluations),
            shared.novelty,
            shared.network_share,
        )


def _fit_novelty(pool: PoolContext) -> NoveltyDiscount:
    encodings = pool.evaluations.queries.vectors()
    number = pool.config.novelty_clusters * np.sqrt(len(encodings))
    # Clusterings are served anyhow: the nearest in number saves one of its own.
    nearest = min(pool.clusterings, key=lambda each: abs(np.log(len(each) / number)))
    return NoveltyDiscount.fit(nearest, encodings, pool.config)


def _model_context(
    shared: PoolEvidence,
    evaluations: EvaluationSet,
    models: np.ndarray,
    known: np.ndarray,
    changed: Collection,
) -> ModelContext:
    means = shared.difficulties.adjusted_means(evaluations)
    order = evaluations.index_of(models)
    return ModelContext(evaluations, models, means[order], known, changed)
