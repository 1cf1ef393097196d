"""The command line, run in this process, and small logs for it."""

import io
import json
import sys
from dataclasses import dataclass

import pytest

from skl_locus._cli.program import run as run_program
from skl_locus.datasets import make_evaluations


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def run(*arguments, stdin=b""):
    """Run the command line with arguments, as `skl-locus` would."""
    streams = {
        "stdin": io.TextIOWrapper(io.BytesIO(stdin)),
        "stdout": io.TextIOWrapper(io.BytesIO(), encoding="utf-8"),
        "stderr": io.TextIOWrapper(io.BytesIO(), encoding="utf-8"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        status = run_program([str(argument) for argument in arguments])
    return Outcome(status, *(_written(streams[name]) for name in ("stdout", "stderr")))


def run_well(*arguments, stdin=b""):
    """Run the command line, which must succeed."""
    outcome = run(*arguments, stdin=stdin)
    assert outcome.status == 0, outcome.err
    return outcome


def text_log(n_models=5, n_queries=120):
    """Return a log of texts that name what decides which model is right."""
    pool = make_evaluations(n_models=n_models, n_queries=n_queries, random_state=0)
    log = pool.evaluations[["model", "query_id", "task", "score", "cost"]]
    log = log.astype({"model": str, "task": str})
    text = "about " + log["task"] + ", see " + log["query_id"]
    return log.assign(query=text)


def parts_of(log, n_first):
    """Return the rows of the first queries, and those of the others."""
    ids = sorted(log["query_id"].unique())[:n_first]
    first = log["query_id"].isin(ids)
    return log[first], log[~first]


def _written(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()
