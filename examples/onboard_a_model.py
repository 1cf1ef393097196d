"""Onboard a new model with few evaluations, chosen one batch after the other.

Without arguments, the log is that of some forty digit classifiers, computed on the
spot. With ``--evaluations``, ``--queries`` and ``--encodings`` it is read from files,
as by ``quickstart.py``. One model is kept out of the fit and then evaluated: its
answers in the log stand for those of the real model. In the end it is compared with
random evaluations of the same model: how many of them would have been needed.
"""

import argparse
import copy

import numpy as np
from quickstart import read_log, split_queries

from skl_locus import LocusRouter
from skl_locus.adaptive import AdaptiveEvaluation, estimate_score
from skl_locus.datasets import load_digits_pool
from skl_locus.metrics import soft_log_loss

RANDOM_SIZES = (16, 32, 64, 96, 128, 192, 256)
N_DRAWS = 5


def main(arguments=None):
    options = parse_options(arguments)
    log = read_log(options) if options.evaluations else load_digits_pool().evaluations
    train, test = split_queries(log, options)
    model = options.model or sorted(log["model"].unique())[0]
    known = train[train["model"] != model]
    own, unseen = (part[part["model"] == model] for part in (train, test))
    print(f"{known['model'].nunique()} known models, and {model!r} is new.")
    router = LocusRouter(max_iter=options.max_iter, random_state=options.seed)
    router.fit(known, known["score"])

    evaluation = AdaptiveEvaluation(
        router, own.drop(columns=["model", "score"]), random_state=options.seed
    )
    answers = own.set_index("query_id")["score"]
    for start in range(0, options.n, options.batch):
        batch = evaluation.ask(min(options.batch, options.n - start))
        # Here a real model would be asked, which may take hours.
        evaluation.tell(batch["query_id"], answers[batch["query_id"]])
    result = evaluation.result(model)
    loss = loss_of(router, result.completed, unseen)
    print(result)
    print(result.neighbors.head(3).round(3).to_string())
    print(f"Mean score of all its evaluations: {own['score'].mean():.3f}")
    print(f"Log loss on unseen queries, {result.n_evaluations} chosen: {loss:.4f}")
    compare_with_random(router, own, unseen, options.seed)
    few = own.sample(min(options.n, len(own)), random_state=options.seed)
    estimate = estimate_score(router, few, few["score"], own)
    print(
        f"Mean score from as many random ones: {estimate.mean:.3f} "
        f"({estimate.low:.3f} to {estimate.high:.3f})"
    )


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("evaluations", "queries", "encodings"):
        parser.add_argument(f"--{name}", metavar="FILE")
    parser.add_argument("--model", help="the model to hold out (default: the first)")
    parser.add_argument("--n", type=int, default=64, help="evaluations to choose")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-iter", type=int, default=100, help="of the fit")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    files = (options.evaluations, options.queries, options.encodings)
    if any(files) and not all(files):
        parser.error("--evaluations, --queries and --encodings go together")
    options.train_queries, options.observed = 1024, 1.0
    return options


def loss_of(router, table, unseen):
    """Add the model with these evaluations, and predict its other answers."""
    router = copy.copy(router).add_models(table, table["score"])
    return soft_log_loss(unseen["score"], router.predict_proba(unseen)[:, 1])


def compare_with_random(router, own, unseen, seed):
    """Print the log loss of random evaluations, as they are observed."""
    for size in RANDOM_SIZES:
        if size > len(own):
            break
        losses = [
            loss_of(router, own.sample(size, random_state=seed + draw), unseen)
            for draw in range(N_DRAWS)
        ]
        print(f"  {size:4d} at random: {np.mean(losses):.4f}")


if __name__ == "__main__":
    main()
