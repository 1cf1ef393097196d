"""Configuration of stacked evidence: starting weights, penalties and shrinkages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from skl_locus._estimation.clusters import MEAN_SHRINKAGE
from skl_locus._evidence.base import FeatureSpec
from skl_locus._evidence.features import FEATURES


@dataclass(frozen=True)
class EvidenceConfig:
    """Everything that is set rather than learned when evidence is fitted.

    The defaults are what did best on development halves of real logs; the ledger in
    ``docs/results`` lists what else was tried. Studies pass other values in.

    Parameters
    ----------
    features : tuple of FeatureSpec
        What is stacked. The first is the anchor: a constant per model, to which
        predictions fall back far from all known queries and from which choices
        measure the departures of the others.
    weights : mapping of str to float
        Weight of each feature in P(correct) before anything is learned. Names that
        are left out take the weight of their `FeatureSpec`.
    decision_weights : mapping of str to float
        The same for choosing among models: of the anchor itself, and of the
        departures of the other features from it.
    network_share : float
        Share of the network's logit, before anything is learned, on a log of very many
        queries.
    network_queries : float
        Number of queries at which it is half of that: the network alone is the weaker
        predictor on logs of up to some thousand queries, and adds nothing on small
        ones.
    weight_penalty : float
        Penalty, per model, on departures from the proportions of ``weights``. It grows
        with the number of models because the evaluations of one query are not
        independent: more models add less information than more queries do.
    size_penalty : float
        Penalty, per model, on the common size of the weights. It is smaller because
        one number is learned well from few evaluations.
    decision_penalty : float
        Penalty, per model, that keeps ``decision_weights`` near their start.
    share_penalty : float
        Penalty, per model, that keeps the network's share near its start. The held-out
        queries also stopped the network's training, which flatters it there.
    steepness : float
        Probability per unit of a logit, on average: p (1 - p). It turns logits into
        scores where choices are fitted by least squares.
    decision_evaluations : float
        Number of evaluations at which a model's departures from its mean get half
        their weight in choices. The best of many estimates is too often the least
        certain one.
    cluster_numbers : tuple of int
        Numbers of clusters, ascending. Few clusters see enough evaluations of every
        model, many of them narrow skills; which serve best differs from log to log.
    queries_per_cluster : float
        Least number of queries for each cluster; clusterings into more are left out,
        but for the first.
    share_temperature : float
        Held-out log loss, summed over queries, by which a clustering has to be worse
        for its share to fall by the factor e. The evaluations of one query count as
        one, since they are not independent.
    least_share : float
        Clusterings with a smaller share than this are left out.
    novelty_clusters : float
        Number of clusters, as a multiple of the square root of the number of queries,
        in which a query's distance from all known ones is measured: the clustering
        that comes nearest to it is taken.
    novelty_quantile : float
        Share of the known queries to which the full weight is given. About one in a
        hundred of new queries like the known ones is then discounted.
    novelty_decay : float
        E-foldings of the discount per distance between the median and the quantile.
    novelty_min_width : float
        Least such distance, as a share of the quantile, so that queries that are all
        equally far apart do not make the discount a cliff.
    shrinkage_range : tuple of float
        Least and most evaluations that the expected mean may count for in a model's
        mean within a cluster. The method of moments finds few where models differ
        between clusters; on real logs it is mostly the most.
    pool_shrinkage : float
        The same for the mean of all models within a cluster, which is not learned:
        most clusters hold far more evaluations of the whole pool than that.
    difficulty_shrinkage : float
        Evaluations that the average model's regression counts for in how difficult a
        query is.
    ability_precision : float
        Inverse variance of abilities before their spread in the pool is known: wide
        enough for any model.
    min_ability_variance : float
        Least variance of abilities, so that a new model may differ from a pool of
        equals.
    max_queries : int
        Queries that penalty, weights and share are learned on. A few numbers are known
        well enough by then, and cross-validation fits everything five times.
    clustering_seed : int
        Seed of k-means; clusters are part of a deterministic fit.
    """

    features: tuple[FeatureSpec, ...] = FEATURES
    weights: Mapping[str, float] = field(default_factory=dict)
    decision_weights: Mapping[str, float] = field(default_factory=dict)
    network_share: float = 0.25
    network_queries: float = 1000.0
    weight_penalty: float = 20.0
    size_penalty: float = 10.0
    decision_penalty: float = 6.0
    share_penalty: float = 50.0
    steepness: float = 0.2
    decision_evaluations: float = 100.0
    cluster_numbers: tuple[int, ...] = (4, 8, 16, 32, 64, 128)
    queries_per_cluster: float = 6.0
    share_temperature: float = 8.0
    least_share: float = 0.05
    novelty_clusters: float = 0.7
    novelty_quantile: float = 0.99
    novelty_decay: float = 3.0
    novelty_min_width: float = 0.01
    shrinkage_range: tuple[float, float] = (1.0, 40.0)
    pool_shrinkage: float = 20.0
    difficulty_shrinkage: float = MEAN_SHRINKAGE
    ability_precision: float = 0.5
    min_ability_variance: float = 0.05
    max_queries: int = 4096
    clustering_seed: int = 0

    def __post_init__(self) -> None:
        weights = {spec.name: spec.weight for spec in self.features}
        decision_weights = {spec.name: spec.decision_weight for spec in self.features}
        self._complete("weights", weights)
        self._complete("decision_weights", decision_weights)

    def _complete(self, field_name: str, defaults: dict[str, float]) -> None:
        """Fill a mapping up with defaults, in the order of the features."""
        given = getattr(self, field_name)
        _check_known(field_name, given, defaults)
        object.__setattr__(self, field_name, defaults | dict(given))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns of stacked values."""
        return tuple(spec.name for spec in self.features)


def _check_known(
    field_name: str, given: Collection[str], features: Collection[str]
) -> None:
    unknown = sorted(set(given) - set(features))
    if unknown:
        raise ValueError(
            f"{field_name} names {unknown[0]!r}, which is not a feature; the features "
            f"are {', '.join(features)}."
        )
