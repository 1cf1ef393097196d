"""Processes forked from one that has trained: they train on, and do not hang."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

SCRIPT = '''
import json, os, signal, sys, time, warnings

import numpy as np
import torch
from small import SMALL, SMALL_VECTORS
from sklearn.base import clone
from skl_locus import EmbedLLMRouter, IRTRouter, KMeansRouter, LinearRouter, LocusRouter
from skl_locus.datasets import make_evaluations

SECONDS = 40


class Encoder:
    """Stands in for a sentence-transformers model: torch computes in parallel."""

    def encode(self, texts, **options):
        lengths = torch.tensor([float(len(text)) for text in texts])[:, None]
        wide = torch.sin(lengths * torch.arange(1.0, 4_001.0))
        return wide.sum(dim=1, keepdim=True).numpy() + np.arange(4.0)


def ends(work):
    """Return whether a forked process does some work in time, and without an error."""
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(SECONDS * 50):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


warnings.simplefilter("ignore")
pool = make_evaluations(6, 400, n_features=64, random_state=0)
log = pool.evaluations
texts = log.assign(query=log["query_id"].astype(str))
new = log[log["model"] == "model-0"].assign(model="new")
assert torch.get_num_threads() == 2
locus = LocusRouter(**{**SMALL, "n_components": 32}).fit(log, log["score"])
vectors = EmbedLLMRouter(**SMALL_VECTORS).fit(log, log["score"])
items = IRTRouter(**SMALL_VECTORS).fit(log, log["score"])
means = KMeansRouter(8, random_state=0).fit(log, log["score"])
spoken = LinearRouter(alpha=1.0, encoder=Encoder()).fit(texts, texts["score"])
for router in (locus, vectors, items, means):
    router.add_models(new, new["score"])
    router.route(pool.encodings)
spoken.route(["a text that is not in the log"])
work = {
    "locus fit": lambda: clone(locus).fit(log, log["score"]),
    "locus add": lambda: locus.add_models(new.assign(model="newer"), new["score"]),
    "locus route": lambda: locus.route(pool.encodings),
    "embedllm add": lambda: vectors.add_models(new.assign(model="b"), new["score"]),
    "irt fit": lambda: clone(items).fit(log, log["score"]),
    "kmeans fit": lambda: clone(means).fit(log, log["score"]),
    "unknown text": lambda: spoken.route(["another text", "and one more"]),
}
print(json.dumps({name: ends(one) for name, one in work.items()}))
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_forked_processes_train_add_models_and_encode_texts():
    pytest.importorskip("torch")
    path = os.pathsep.join([str(TESTS.parent), str(TESTS / "helpers")])
    # Threads that wait in a loop would slow each other down on a busy machine.
    limits = {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "0"}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **limits, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    ended = json.loads(result.stdout.splitlines()[-1])
    assert [name for name, in_time in ended.items() if not in_time] == []
