"""Time all rows of the GPU's table: kernels, what a user calls, and the plain form.

    python examples/benchmarks/gpu.py --fit 1024 4096

The paper (Figure 18) reports, on a V100, about 100 ms to embed 112 models from 4096
evaluations each, and about 20 ms to score 4096 queries for 112 models. This prints the
same rows on the device at hand, with untrained weights, since the time does not depend
on them: the kernels alone, the plain form on the same device, and the public calls,
whose arguments and results are in host memory. ``--fit`` also fits routers, as a user
would: the network alone and the default router.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from plain import plain_twin

from skl_locus import LocusRouter
from skl_locus._networks.locus_state import InputMap, NetworkState
from skl_locus._torch.device import resolve_placement
from skl_locus._torch.fit_locus import new_network
from skl_locus._torch.inference import load_network
from skl_locus._torch.network import NetworkConfig
from skl_locus._torch.weights import network_weights
from skl_locus.datasets import make_evaluations

N_MODELS = 112
SIZES = (256, 1024, 4096)
"""Evaluations of each model, and queries."""

PAPER = {("embed", 4096): "about 100 (V100)", ("score", 4096): "about 20 (V100)"}


def main(arguments=None):
    options = parse_options(arguments)
    placement = resolve_placement(options.device, "float32")
    print(f"device: {device_name(placement.device)}, torch {torch.__version__}")
    state = untrained(options.n_features, placement)
    network = load_network(state, placement)
    print(f"{'work':<44}{'median ms':>10}{'min':>10}{'max':>10}   paper, ms")

    def row(name, n, work):
        report(name, options.models, n, measure(work, options.repeats, placement))

    for n in options.sizes:
        row("embed", n, embedding(network, options.models, n, placement))
    for n in options.sizes:
        row("score", n, scoring(network, state, options.models, n, placement))
    for name, work in plain_works(options, placement).items():
        row(name, max(options.sizes), work)
    for name, work in public_works(options).items():
        row(name, max(options.sizes), work)
    for n in options.fit:
        fit_routers(options, n)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", type=int, default=N_MODELS)
    parser.add_argument("--n-features", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument(
        "--fit", type=int, nargs="*", default=(), metavar="QUERIES", help="fit routers"
    )
    return parser.parse_args(arguments)


def untrained(n_features, placement, *, bilinear=True):
    generator = torch.Generator(placement.device).manual_seed(0)
    network = new_network(
        NetworkConfig(n_features, bilinear=bilinear), generator, placement
    )
    identity = InputMap(
        np.zeros(n_features, np.float32), np.eye(n_features, dtype=np.float32)
    )
    return NetworkState(vars(network.config), identity, network_weights(network))


def embedding(network, n_models, n_evaluations, placement):
    """Embed all models at once on a GPU, some at a time on a CPU."""
    options = {"device": placement.device}
    n_features = network.config.n_features
    encodings = torch.randn(n_evaluations, n_features, **options)
    index = torch.arange(n_evaluations, **options).expand(n_models, -1)
    scores = torch.rand(n_models, n_evaluations, **options).round()
    step = n_models if placement.device.type == "cuda" else 4

    def work():
        for start in range(0, n_models, step):
            some = slice(start, start + step)
            network.encoder(encodings, index[some], scores[some], None)

    return work


def scoring(network, state, n_models, n_queries, placement):
    n_features = network.config.n_features
    options = {"device": placement.device}
    embeddings = torch.randn(n_models, network.config.n_components, **options)
    encodings = torch.randn(n_queries, n_features, **options)
    if placement.device.type == "cpu":
        packed = state.pack(embeddings.numpy())
        return lambda: packed.logits(encodings.numpy())
    index = torch.arange(n_queries, **options).expand(n_models, -1)
    return lambda: network.predictor(embeddings, encodings, index)


def plain_works(options, placement):
    """Return the plain form's work, one model at a time, on the same device."""
    state = untrained(options.n_features, placement, bilinear=False)
    twin = plain_twin(load_network(state, placement)).requires_grad_(False)
    twin = twin.to(placement.device)
    n, device = max(options.sizes), placement.device
    encodings = torch.randn(n, options.n_features)
    scores = torch.rand(options.models, n).round()
    embeddings = torch.randn(options.models, network_width(state))
    return {
        "plain embed": lambda: (
            twin.embed_each(encodings.to(device), scores.to(device)).cpu().numpy()
        ),
        "plain score": lambda: (
            twin.score_each(embeddings.to(device), encodings.to(device)).cpu().numpy()
        ),
    }


def network_width(state):
    return state.config["n_components"]


def public_works(options):
    """Return what a user calls; arguments and results are in host memory."""
    pool = make_pool(options, max(options.sizes))
    log = pool.evaluations
    # What a call costs does not depend on how long the network was trained.
    router = LocusRouter(
        max_iter=2, geometry="network", device=options.device, random_state=0
    ).fit(log, log["score"])
    embedder, evaluations = router.embedder_, router._pool.evaluations
    queries = np.ascontiguousarray(pool.encodings, dtype=np.float32)
    return {
        "transform, a table": lambda: embedder.transform(log),
        "transform, read already": lambda: embedder._embed(evaluations),
        "correctness_matrix": lambda: router.correctness_matrix(queries),
        "rank, 10 best": lambda: router.rank(queries, min(10, options.models)),
        "route": lambda: router.route(queries),
    }


def make_pool(options, n_queries):
    return make_evaluations(
        n_models=options.models,
        n_queries=n_queries,
        n_features=options.n_features,
        random_state=0,
    )


def fit_routers(options, n_queries):
    """Time fits through the public API, a few steps before to warm up."""
    log = make_pool(options, n_queries).evaluations
    LocusRouter(max_iter=5, device=options.device).fit(log, log["score"])
    for name, local_evidence in (("network alone", False), ("default router", True)):
        router = LocusRouter(
            local_evidence=local_evidence, device=options.device, random_state=0
        )
        start = time.perf_counter()
        router.fit(log, log["score"])
        seconds = time.perf_counter() - start
        print(f"fit {options.models} models x {n_queries}, {name}: {seconds:.1f} s")


@torch.no_grad()
def measure(work, repeats, placement):
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if placement.device.type == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1000)
    return times[1:]  # the first run warms up


def report(work, n_models, n, times):
    name = f"{work} {n_models} models x {n}"
    paper = PAPER.get((work, n), "") if n_models == N_MODELS else ""
    print(
        f"{name:<44}{statistics.median(times):>10.1f}{min(times):>10.1f}"
        f"{max(times):>10.1f}   {paper}"
    )


def device_name(device):
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    main()
