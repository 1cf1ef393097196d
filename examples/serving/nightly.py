"""Bring a router up to date with the log of a day, if it does not get worse.

``python nightly.py router.locus yesterday.csv`` adds the models of the log to the
router, or refines those that it has. It compares the result with the router in service
on queries that neither of them has seen, and replaces the file only where the score of
the routes is not lower. Gateways load the new file by themselves. Without a file, the
first router is fitted.

The file may also have a policy (``skl-locus fit --costs ...``): its router is changed,
its rule stays, and the cost of the routes is shown, too. A policy does not choose
models without a cost; fit it again with theirs.
"""

import argparse
import hashlib
import json
from pathlib import Path

from sklearn.feature_extraction.text import HashingVectorizer

import skl_locus
from skl_locus.datasets import read_log
from skl_locus.metrics import compare

HELD_OUT_SHARE = 4
"""One in so many queries is held out."""


def main(arguments=None):
    options = parse_options(arguments)
    train, held_out = split(read_log(options.log))
    if not options.router.exists():
        router = first_router(train, options.encoder)
        skl_locus.save(router, options.router)
        return show(saved=True, candidate=outcome(router, held_out)["score"])
    current = skl_locus.load(options.router)
    candidate = skl_locus.load(options.router)
    router_in(candidate).add_models(train, train["score"])
    before, after = outcome(current, held_out), outcome(candidate, held_out)
    is_good = after["score"] >= before["score"] - options.tolerance
    if is_good:
        skl_locus.save(candidate, options.router)
    costs = {
        f"{name}_cost": values["cost"]
        for name, values in (("current", before), ("candidate", after))
        if "cost" in values
    }
    return show(
        saved=is_good, current=before["score"], candidate=after["score"], **costs
    )


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("router", type=Path, help="file of the router")
    parser.add_argument("log", type=Path, help="log of any format")
    parser.add_argument(
        "--encoder", help="text model of the first router (default: hashed words)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        help="by how much the score may fall (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def split(log):
    """Return the rows to learn from, and those to judge by."""
    held_out = log["query"].map(is_held_out)
    return log[~held_out], log[held_out]


def is_held_out(query):
    """Decide by the text alone, so that a query is on the same side every night.

    A query that returns later could otherwise be judged by a router that knows it.
    """
    digest = hashlib.sha256(query.encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def first_router(train, encoder):
    encoder = encoder or HashingVectorizer(n_features=512)
    router = skl_locus.KMeansRouter("auto", encoder=encoder, random_state=0)
    return router.fit(train, train["score"])


def router_in(estimator):
    """Return the router of a policy; a router is its own."""
    return getattr(estimator, "router", estimator)


def outcome(estimator, held_out):
    """Return the mean score of the routes among the models at hand, and their cost."""
    known = held_out[held_out["model"].isin(router_in(estimator).models_)]
    if known.empty:
        raise SystemExit(
            "the log has no held-out query of a model that is in the router; add the "
            "evaluations of one, or wait for a larger log"
        )
    if hasattr(estimator, "evaluate"):
        figures = estimator.evaluate(known, known["score"])
        return {"score": float(figures["quality"]), "cost": float(figures["cost"])}
    table = compare(
        {"router": estimator},
        known,
        known["score"],
        metrics=["routing_accuracy"],
        task_col=None,
        baselines=False,
        random_state=0,
    )
    return {"score": float(table["estimate"].item())}


def show(**outcome):
    print(json.dumps(outcome))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
