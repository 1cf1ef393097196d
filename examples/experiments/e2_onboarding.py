"""New models from 16 to 1024 evaluations, by number of training models (Figure 3).

Four rotations each hold a quarter of the models out of the fit and embed them from a
few of their evaluations. Beside them: the same models in the pool with as many
evaluations, and (the top row of the paper's figure) in the pool with all of them.
"""

from copy import deepcopy
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from evaluate import (
    correctness,
    error_by_chance,
    extent,
    fit_on_draw,
    predict,
)
from figures import label, legend_outside, lines, panels, save
from jobs import run_jobs
from methods import LOCUS, TRAINED, VARIANTS, make
from options import folder_of, job, main_logs, parse_options, seeds, speed
from protocol import COMPLETE, Draw, available_sizes, draw, frame, subsample

NAME = "e2_onboarding"
ROTATIONS_SEED = 100
N_ROTATIONS = 4
NEW, IN_POOL, ALL_SEEN = "new", "in pool", "in pool with all evaluations"
ERRORS = ("ece", "ece_together", "ece_by_chance")
"""Calibration of single models, of a rotation's models together, and of luck alone."""

OTHERS = 0
"""Number of training models that stands for all models that are not held out."""


@dataclass(frozen=True)
class Plan:
    """Evaluations, training models of the fits, and how many rotations are done.

    All methods are fitted on all other models, LOCUS on ``train_models`` as well.
    ``trained_sizes`` are for methods that train new vectors, which takes minutes.
    """

    sizes: tuple
    trained_sizes: tuple
    train_models: tuple
    in_pool_sizes: tuple
    rotations: int
    n_queries: int
    draws: int = 1


PLANS = {
    "full": Plan(
        (16, 32, 64, 128, 256, 1024),
        (16, 128, 1024),
        (8, 15),
        (128,),
        N_ROTATIONS,
        1024,
    ),
    "paper": Plan(
        (16, 32, 64, 128, 256, 512, 1024),
        (16, 128, 1024),
        (8, 16, 32, 64, 92),
        (128,),
        N_ROTATIONS,
        1024,
    ),
    "quick": Plan((16, 64, 256), (16, 256), (8,), (64,), 1, 512),
    "smoke": Plan((8, 16), (16,), (4,), (16,), 1, 64),
}


def run(options):
    plan = PLANS[speed(options)]
    for log in main_logs(options):
        n = available_sizes(log, (plan.n_queries,))[-1]
        jobs = [
            job(options, method, seed, n=n, **named(log), **fit)
            for seed in seeds(options, plan.draws)
            for method in options.methods
            if method not in VARIANTS
            for fit in fits(plan, n, method, log)
        ]
        results = run_jobs(onboard_job, log, jobs, options, NAME)
        table = pd.DataFrame([row for rows in results for row in rows])
        folder = folder_of(log, options)
        table.to_csv(folder / f"{NAME}.csv", index=False)
        summary = summarise_models(table)
        summary.to_csv(folder / f"{NAME}_summary.csv", index=False)
        gains(table).to_csv(folder / f"{NAME}_differences.csv", index=False)
        draw_curves(summary, log, folder / f"{NAME}.png")


def named(log):
    """Say in a job which models are new, where the log itself says it."""
    return {"held_out": log.held_out} if log.held_out else {}


def fits(plan, n, method, log):
    """List the fits, each with the rotations and evaluations that are tried on it."""
    planned = plan.trained_sizes if method in TRAINED else plan.sizes
    sizes = [size for size in planned if size <= n]
    # Where the new models are given by name, there is nothing to rotate.
    rotations = range(1 if log.held_out else plan.rotations)
    counts = (OTHERS, *(plan.train_models if method == LOCUS else ()))
    chosen = [(NEW, count, [r], sizes) for count in counts for r in rotations]
    if method not in TRAINED:
        # This fit is the same whichever models are embedded again.
        chosen.append((ALL_SEEN, OTHERS, list(rotations), sizes))
    chosen += [
        (IN_POOL, OTHERS, [r], [size]) for size in plan.in_pool_sizes for r in rotations
    ]
    names = ("kind", "train_models", "rotations", "sizes")
    return [dict(zip(names, values, strict=True)) for values in chosen]


def onboard_job(log, job):
    """Fit, embed the held-out models from few evaluations, and measure them alone."""
    drawn = draw(log, COMPLETE, job["n"], job["seed"])
    seen = training_scores(drawn.seen, log, job)
    router = make(job["method"], job["seed"], job["tiny"])
    fit_on_draw(router, log, Draw(drawn.train, seen, drawn.test))
    rows = []
    for rotation, size in product(job["rotations"], job["sizes"]):
        held = new_models(log, rotation)
        onboarded = router
        if job["kind"] != IN_POOL:
            onboarded = deepcopy(router)
            few = few_scores(drawn.seen, held, rotation, size, job["seed"])
            table = frame(log, drawn.train, few)
            onboarded.add_models(table, table["score"], replace=True)
        about = {
            "method": job["method"],
            "kind": job["kind"],
            "rotation": rotation,
            "seed": job["seed"],
            "train_models": int(np.isfinite(seen).any(axis=0).sum()),
            "evaluations": size,
        }
        rows += [about | row for row in measure_held_out(onboarded, log, drawn, held)]
    return rows


def new_models(log, rotation):
    """Return the mask of the models that are new: by name, or a quarter of them."""
    if log.held_out:
        return np.isin(log.models, log.held_out)
    return held_out(len(log.models), rotation)


def held_out(n_models, rotation):
    """Return the mask of the quarter of the models that a rotation holds out."""
    order = np.random.default_rng(ROTATIONS_SEED).permutation(n_models)
    return np.isin(np.arange(n_models), order[rotation::N_ROTATIONS])


def few_scores(seen, held, rotation, size, seed):
    """Keep that many scores of each held-out model, and none of the others."""
    rng = np.random.default_rng([seed, rotation, size])
    return subsample(np.where(held, seen, np.nan), size, rng)


def training_scores(seen, log, job):
    """Return what the fit sees: few or all evaluations of the held-out, or none."""
    if job["kind"] == ALL_SEEN:
        return seen
    (rotation,) = job["rotations"]
    held = new_models(log, rotation)
    if job["kind"] == IN_POOL:
        few = few_scores(seen, held, rotation, job["sizes"][0], job["seed"])
        return np.where(held, few, seen)
    others = np.flatnonzero(~held)
    rng = np.random.default_rng([ROTATIONS_SEED, rotation])
    kept = rng.permutation(others)[: job["train_models"] or len(others)]
    return np.where(np.isin(np.arange(len(held)), kept), seen, np.nan)


def measure_held_out(router, log, drawn, held):
    """Return one row per held-out model."""
    scores = np.where(held, log.scores[drawn.test], np.nan)
    P, _ = predict(router, log, drawn.test, scores)
    together = correctness(P, scores)["ece"]
    rows = []
    for model in np.flatnonzero(held):
        own = P[:, [model]], scores[:, [model]]
        p = P[np.isfinite(P[:, model]), model]
        if not len(p):
            continue
        rows.append(
            {
                "model": log.models[model],
                **correctness(*own),
                **extent(*own),
                "ece_together": together,
                "ece_by_chance": error_by_chance(p),
            }
        )
    return rows


def summarise_models(table):
    """Average over models; errors are by model."""
    keys = ["method", "kind", "train_models", "evaluations"]
    # Rotations may hold out one model more or less.
    spread = table.groupby(["method", "kind"])["train_models"]
    near = table["train_models"] >= spread.transform("max") - 1
    table = table.assign(
        train_models=table["train_models"].where(~near, spread.transform("max"))
    )
    by_model = table.groupby([*keys, "model"], sort=False).mean(numeric_only=True)
    metrics = ["correctness_accuracy", "log_loss", "brier", "roc_auc", *ERRORS]
    groups = by_model[metrics].groupby(keys, sort=False)
    errors = groups.sem().add_suffix("_error")
    counts = groups.size().rename("n_models")
    return pd.concat([groups.mean(), errors, counts], axis=1).reset_index()


def gains(table):
    """Compare LOCUS with each comparator on the same new models."""
    keys = ["kind", "train_models", "evaluations"]
    metrics = ["correctness_accuracy", "log_loss"]
    new = table[table["kind"] == NEW].set_index([*keys, "rotation", "seed", "model"])
    if LOCUS not in set(new["method"]):
        return pd.DataFrame()
    ours = new.loc[new["method"] == LOCUS, metrics]
    parts = []
    for method in new["method"].unique():
        if method != LOCUS:
            paired = ours - new.loc[new["method"] == method, metrics]
            groups = paired.dropna().groupby(keys)
            part = groups.mean().join(groups.sem().add_suffix("_error"))
            parts.append(part.assign(comparator=method).reset_index())
    return pd.concat(parts) if parts else pd.DataFrame()


def draw_curves(summary, log, path):
    most = summary["train_models"].max()
    new = summary[summary["kind"] == NEW]
    widest = new[new["train_models"] == new["train_models"].max()]
    figure, (first, second, third) = panels(3)
    x = "Evaluations of the new model"
    for ax, metric, y in (
        (first, "correctness_accuracy", "Correctness accuracy"),
        (second, "log_loss", "Log loss"),
    ):
        lines(ax, widest, "evaluations", metric, error=f"{metric}_error")
        label(ax, f"New models, {widest['train_models'].max()} in the fit", x, y)
    legend_outside(figure, first)
    locus = summary[summary["method"] == LOCUS]
    if len(locus):
        names = [
            f"{kind}, {most if kind != NEW else count} in the fit"
            for kind, count in zip(locus["kind"], locus["train_models"], strict=True)
        ]
        lines(
            third,
            locus.assign(fit=names),
            "evaluations",
            "correctness_accuracy",
            by="fit",
        )
        third.legend(fontsize=7, loc="lower right")
    label(third, "LOCUS by models in the fit", x, "Correctness accuracy")
    figure.suptitle(log.name)
    save(figure, path)


if __name__ == "__main__":
    from e2_onboarding import run as run_module

    run_module(parse_options(__doc__))
