"""Stand-ins for sentence-transformers models: small, quick and without a network."""

import hashlib
from collections import Counter

import numpy as np


class StandInModel:
    """Give each text a vector that depends on the text and on the seed alone."""

    def __init__(self, seed, n_features=6):
        self.seed = seed
        self.n_features = n_features
        self.weights = np.ones(500_000, np.float32)
        self.folder = "a secret place"

    def encode(self, texts, **_):
        return np.array([self._vector(text) for text in texts], np.float32)

    def _vector(self, text):
        digest = hashlib.sha256(f"{self.seed} {text}".encode()).digest()
        seeds = np.frombuffer(digest, np.uint32)
        return np.random.default_rng(seeds).standard_normal(self.n_features)


def load_by_name(monkeypatch, module):
    """Let names that end in a number lead to stand-ins; return how often they do."""
    loaded = Counter()

    def load(source, *_, **__):
        name = getattr(source, "name", source)  # or a name with device and revision
        loaded[name] += 1
        return StandInModel(int(name[-1]))

    monkeypatch.setattr(module, "load_sentence_model", load)
    return loaded
