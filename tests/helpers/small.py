"""Networks small enough to train in a second, for tests of everything but quality."""

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

SMALL = {
    "n_components": 8,
    "n_latents": 4,
    "n_layers": 1,
    "n_heads": 2,
    "max_iter": 12,
    "learning_rate_init": 5e-3,
    "query_noise": 0.1,
    "dropout": 0.0,
    "n_targets": 16,
    "min_context": 8,
    "max_context": 16,
    "random_state": 0,
}

SMALL_VECTORS = {
    "n_components": 8,
    "hidden_size": 4,
    "max_iter": 40,
    "learning_rate_init": 0.02,
    "random_state": 0,
}

SMALL_ITEMS = {key: SMALL_VECTORS[key] for key in SMALL_VECTORS if key != "hidden_size"}
"""The same for a network without a hidden layer."""

# One that has learned enough in a second or two to tell models apart.
TELLING = {
    "n_components": 8,
    "n_latents": 4,
    "n_layers": 1,
    "n_heads": 2,
    "max_iter": 100,
    "learning_rate_init": 5e-3,
    "query_noise": 0.1,
    "dropout": 0.0,
    "n_targets": 64,
    "min_context": 16,
    "max_context": 64,
    "random_state": 0,
}


def small_routers():
    """Return a router of every kind, unfitted, by a short name."""
    return {
        "best": BestSingleRouter(),
        "knn": KNNRouter(3),
        "kmeans": KMeansRouter(4, random_state=0),
        "linear": LinearRouter(alpha=1.0),
        "embedllm": EmbedLLMRouter(**SMALL_VECTORS),
        "irt": IRTRouter(**SMALL_VECTORS),
        "je-irt": JEIRTRouter(**SMALL_VECTORS),
        "mirt": MIRTRouter(**SMALL_ITEMS),
        "prox": ProxRouter(4, random_state=0),
        "uniroute": UniRouteRouter(3, alpha=1.0, random_state=0),
        "avengers": AvengersRouter(4, random_state=0),
        "locus": LocusRouter(**SMALL),
    }
