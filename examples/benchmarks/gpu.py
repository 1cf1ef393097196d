"""Time the embedding of models and the scoring of queries, as in the paper's Figure 18.

The paper reports, on a V100, about 100 ms to embed 112 models from 4096 evaluations
each, and about 20 ms to score 4096 queries for 112 models. This prints the same rows
on the device at hand, with untrained weights: the time does not depend on them.
``--fit`` also fits routers, as a user would: the network alone and the default router.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from skl_locus import LocusRouter
from skl_locus._networks.locus_state import InputMap, NetworkState
from skl_locus._torch.device import resolve_placement
from skl_locus._torch.fit_locus import new_network
from skl_locus._torch.inference import load_network
from skl_locus._torch.network import NetworkConfig
from skl_locus._torch.weights import network_weights
from skl_locus.datasets import make_evaluations

N_MODELS = 112
EVALUATIONS = (256, 1024, 4096)
QUERIES = (256, 1024, 4096)
PAPER = {("embed", 4096): "about 100 (V100)", ("score", 4096): "about 20 (V100)"}


def main(arguments=None):
    options = parse_options(arguments)
    placement = resolve_placement(options.device, "float32")
    print(f"device: {device_name(placement.device)}, torch {torch.__version__}")
    state = untrained(options.n_features, placement)
    network = load_network(state, placement)
    print(f"{'work':<32}{'median ms':>10}{'min':>10}{'max':>10}   paper, ms")
    for n in EVALUATIONS:
        work = embedding(network, options.models, n, options.n_features, placement)
        report("embed", options.models, n, measure(work, options.repeats, placement))
    for n in QUERIES:
        work = scoring(network, state, options.models, n, placement)
        report("score", options.models, n, measure(work, options.repeats, placement))
    if options.fit:
        fit_routers(options)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", type=int, default=N_MODELS)
    parser.add_argument("--n-features", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--fit", type=int, metavar="QUERIES", help="fit routers, too")
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


def embedding(network, n_models, n_evaluations, n_features, placement):
    """Embed all models at once on a GPU, some at a time on a CPU."""
    options = {"device": placement.device}
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


def fit_routers(options):
    """Time fits through the public API, a few steps before to warm up."""
    pool = make_evaluations(
        n_models=options.models,
        n_queries=options.fit,
        n_features=options.n_features,
        random_state=0,
    )
    log = pool.evaluations
    LocusRouter(max_iter=5, device=options.device).fit(log, log["score"])
    for name, local_evidence in (("network alone", False), ("default router", True)):
        router = LocusRouter(
            local_evidence=local_evidence, device=options.device, random_state=0
        )
        start = time.perf_counter()
        router.fit(log, log["score"])
        seconds = time.perf_counter() - start
        print(f"fit {options.models} models x {options.fit}, {name}: {seconds:.1f} s")


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
        f"{name:<32}{statistics.median(times):>10.1f}{min(times):>10.1f}"
        f"{max(times):>10.1f}   {paper}"
    )


def device_name(device):
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    main()
