"""A router of chats over three topics, small enough to fit in a moment."""

import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skl_locus import KMeansRouter

TOPICS = {
    "algebra": "Solve the equation of algebra with number",
    "poetry": "Write a verse of poetry about river",
    "law": "Explain the contract of law in case",
}

MODELS = [f"model-{number}" for number in range(9)]

TEXTS = [f"{words} {n}" for n in range(20) for words in TOPICS.values()]
"""Queries of the log, topic by topic in turn."""


def skill(model, topic):
    """Return the score of a model on all queries of a topic; all nine differ."""
    return ((MODELS.index(model) + 3 * list(TOPICS).index(topic)) % 9 + 0.5) / 9


def chat_log(models=MODELS):
    """Return a log in which each topic has its own order of the models."""
    rows = [
        {"model": model, "query": f"{words} {n}", "score": skill(model, topic)}
        for model in models
        for n in range(20)
        for topic, words in TOPICS.items()
    ]
    return pd.DataFrame(rows)


def chat_router(models=MODELS):
    """Fit a router to the log."""
    svd = TruncatedSVD(3, random_state=0)
    encoder = make_pipeline(TfidfVectorizer(), svd)
    log = chat_log(models)
    router = KMeansRouter(3, encoder=encoder, random_state=0)
    return router.fit(log, log["score"])


def user(text):
    """Return a chat of one turn."""
    return [{"role": "user", "content": text}]
