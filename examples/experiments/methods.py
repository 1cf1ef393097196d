"""The routers that are compared, by name.

A factory takes a seed and whether networks are to be tiny (``--smoke``, where only
the running matters) and returns an unfitted router.
"""

from skl_locus import BestSingleRouter, KMeansRouter, KNNRouter, LocusRouter

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
TINY_TRAINING = {"max_iter": 10}
"""For the comparators that are trained by gradients."""


def locus(seed, tiny, **parameters):
    network = {**TINY_NETWORK, **parameters} if tiny else parameters
    return LocusRouter(random_state=seed, **network)


def locus_paper(seed, tiny, **parameters):
    """Make the network of the paper: nothing beside the predictor."""
    return locus(seed, tiny, local_evidence=False, bilinear=False, **parameters)


def k_nearest(seed, tiny):
    return KNNRouter()


def k_means(seed, tiny):
    return KMeansRouter(random_state=seed)


def best_single(seed, tiny):
    return BestSingleRouter()


METHODS = {
    LOCUS: locus,
    LOCUS_PAPER: locus_paper,
    "kNN": k_nearest,
    "KMeans": k_means,
    "Best single": best_single,
}

SET_EMBEDDERS = [LOCUS, LOCUS_PAPER]
"""Methods that embed any set of evaluations, without training."""

EMBEDDING_METHODS = [*SET_EMBEDDERS]
"""Methods with ``embeddings_``."""

VARIANTS = []
"""Methods of the first experiment only, where the paper has them or they matter."""

TRAINED = []
"""Methods that train the vectors of new models: seconds for each of them."""

REGENERATED = {}
"""Gradient-trained embeddings of Appendix F by name: factory(seed, tiny)."""


def make(name, seed, tiny=False, **parameters):
    """Make the router of that name."""
    return (METHODS | REGENERATED)[name](seed, tiny, **parameters)


# --- To be enabled with the comparators to come -----------------------------------
# The import above takes EmbedLLMRouter, IRTRouter and LinearRouter as well.
#
# def trained(router_class, **parameters):
#     def make(seed, tiny):
#         training = TINY_TRAINING if tiny else {}
#         return router_class(random_state=seed, **parameters, **training)
#
#     return make
#
#
# METHODS |= {
#     "kNN": lambda seed, tiny: KNNRouter(n_neighbors="auto"),
#     "KMeans": lambda seed, tiny: KMeansRouter(
#         n_clusters="auto", tune_for="log_loss", random_state=seed
#     ),
#     "KMeans (routing)": lambda seed, tiny: KMeansRouter(
#         n_clusters="auto", tune_for="routing_accuracy", random_state=seed
#     ),
#     "Linear": lambda seed, tiny: LinearRouter(alpha="auto"),
#     "EmbedLLM": trained(EmbedLLMRouter, n_components=232, n_hidden_layers=0),
#     "EmbedLLM+": trained(EmbedLLMRouter, n_components=232, n_hidden_layers=2),
#     "IRT-Net": trained(IRTRouter),
# }
# EMBEDDING_METHODS += ["EmbedLLM", "IRT-Net"]
# VARIANTS += ["KMeans (routing)", "EmbedLLM+"]
# TRAINED += ["EmbedLLM", "IRT-Net"]
# REGENERATED |= {
#     f"EmbedLLM d={width}, {depth} hidden": trained(
#         EmbedLLMRouter, n_components=width, n_hidden_layers=depth
#     )
#     for width, depth in ((232, 0), (64, 0), (64, 1))
# }
# ----------------------------------------------------------------------------------
