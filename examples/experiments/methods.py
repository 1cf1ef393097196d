"""Routers to compare, by name.

A factory takes a seed and whether networks are to be tiny (``--smoke``, where only
the running matters) and returns an unfitted router.
"""

from skl_locus import (
    AvengersRouter,
    BestSingleRouter,
    EmbedLLMRouter,
    IRTRouter,
    JEIRTRouter,
    KMeansRouter,
    KNNRouter,
    LinearRouter,
    LocusRouter,
    MIRTRouter,
    ProxRouter,
    UniRouteRouter,
)

LOCUS, LOCUS_PAPER = "LOCUS", "LOCUS (paper)"

TINY_NETWORK = {
    "n_components": 8,
    "n_latents": 4,
    "n_layers": 1,
    "n_heads": 2,
    "max_iter": 10,
    "n_targets": 16,
    "min_context": 8,
    "max_context": 16,
}
PAPER_NETWORK = {
    "n_latents": 64,
    "n_layers": 2,
    "max_iter": 500,
    "learning_rate_init": 5e-4,
}
"""Sizes of the paper, and a training that is long enough for them."""

TINY_TRAINING = {"max_iter": 10}
"""For the comparators that are trained by gradients."""


def locus(seed, tiny, **parameters):
    network = {**TINY_NETWORK, **parameters} if tiny else parameters
    return LocusRouter(random_state=seed, **network)


def locus_paper(seed, tiny, **parameters):
    """Make the network of the paper: nothing beside the predictor."""
    own = {"local_evidence": False, "bilinear": False, "geometry": "network"}
    sizes = {} if tiny else PAPER_NETWORK
    return locus(seed, tiny, **{**own, **sizes, **parameters})


def k_nearest(seed, tiny):
    return KNNRouter(n_neighbors="auto")


def k_nearest_softmax(seed, tiny):
    return KNNRouter("auto", weights="softmax", temperature="auto", shrinkage="auto")


def k_means(seed, tiny):
    return KMeansRouter("auto", random_state=seed)


def k_means_for_routing(seed, tiny):
    return KMeansRouter("auto", tune_for="routing_accuracy", random_state=seed)


def linear(seed, tiny):
    return LinearRouter(alpha="auto")


def linear_unpooled(seed, tiny):
    return LinearRouter(alpha="auto", pooling="none")


def prompt_space(seed, tiny):
    """Make the space of prompts: one regularised pseudoinverse, centred coding."""
    return LinearRouter(alpha="auto", loss="squared_error", pooling="none")


def prox(seed, tiny, **parameters):
    return ProxRouter(random_state=seed, **parameters)


def prox_of_queries(seed, tiny):
    return KNNRouter(100, weights="softmax", temperature=0.05)


def uniroute(seed, tiny):
    return UniRouteRouter(random_state=seed)


def uniroute_nearest(seed, tiny):
    return UniRouteRouter(query_map="nearest", random_state=seed)


def avengers(seed, tiny):
    return AvengersRouter(random_state=seed)


def avengers_pro(seed, tiny):
    """Make Avengers-Pro with its dial at quality alone."""
    return AvengersRouter(
        25,
        n_nearest=3,
        temperature=1 / 9,
        performance_weight=1.0,
        random_state=seed,
    )


def best_single(seed, tiny):
    return BestSingleRouter()


def trained(router_class, **parameters):
    """Return the factory of a router that is trained by gradients."""

    def make(seed, tiny):
        training = TINY_TRAINING if tiny else {}
        return router_class(random_state=seed, **parameters, **training)

    return make


METHODS = {
    LOCUS: locus,
    LOCUS_PAPER: locus_paper,
    "kNN": k_nearest,
    "kNN (softmax)": k_nearest_softmax,
    "KMeans": k_means,
    "KMeans (routing)": k_means_for_routing,
    "Linear": linear,
    "Linear (unpooled)": linear_unpooled,
    "EmbedLLM": trained(EmbedLLMRouter),
    "EmbedLLM+": trained(EmbedLLMRouter, n_hidden_layers=2),
    "IRT-Net": trained(IRTRouter),
    "JE-IRT": trained(JEIRTRouter),
    "MIRT": trained(MIRTRouter),
    "Prompt space": prompt_space,
    "UniRoute": uniroute,
    "UniRoute (k-means)": uniroute_nearest,
    "ProxRouter": prox,
    "ProxRouter (kNN)": prox_of_queries,
    "Avengers": avengers,
    "Avengers-Pro": avengers_pro,
    "Best single": best_single,
}

SET_EMBEDDERS = [LOCUS, LOCUS_PAPER]
"""Methods that embed any set of evaluations, without training."""

EMBEDDING_METHODS = [*SET_EMBEDDERS, "EmbedLLM", "IRT-Net"]
"""Methods with ``embeddings_``."""

FIELD_METHODS = [
    "JE-IRT",
    "MIRT",
    "Prompt space",
    "UniRoute",
    "UniRoute (k-means)",
    "ProxRouter",
    "ProxRouter (kNN)",
    "Avengers",
    "Avengers-Pro",
]
"""Methods beside those of the LOCUS paper, which its experiments do not have."""

VARIANTS = [
    "kNN (softmax)",
    "KMeans (routing)",
    "Linear (unpooled)",
    "EmbedLLM+",
    *FIELD_METHODS,
]
"""Methods of the first experiment only, where the paper has them or they matter."""

TRAINED = ["EmbedLLM", "IRT-Net"]
"""Methods that train the vectors of new models: seconds for each of them."""

REGENERATED = {
    f"EmbedLLM d={width}, {depth} hidden": trained(
        EmbedLLMRouter, n_components=width, n_hidden_layers=depth
    )
    for width, depth in ((232, 0), (64, 0), (64, 1))
}
"""Gradient-trained embeddings of Appendix F by name: factory(seed, tiny)."""


def make(name, seed, tiny=False, **parameters):
    """Make the router of that name."""
    return (METHODS | REGENERATED)[name](seed, tiny, **parameters)
