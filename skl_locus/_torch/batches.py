"""Random contexts and targets for training the set encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skl_locus._data.evaluations import EvaluationSet


@dataclass(frozen=True)
class RaggedRows:
    """Some rows of several models, padded to one length.

    Parameters
    ----------
    queries : ndarray of shape (n_models, length), int64
        Query codes; padding repeats the model's first.
    scores : ndarray of shape (n_models, length), float32
        Scores.
    mask : ndarray of shape (n_models, length), bool
        False on padding.
    """

    queries: np.ndarray
    scores: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Evaluations of one training step, for the encoder and for the loss.

    Parameters
    ----------
    context, targets : RaggedRows
        Evaluations for the encoder; queries and scores for the loss. Query codes
        point into ``used``.
    used : ndarray of shape (n_used,), int64
        Distinct queries of the step, as codes of the evaluation set.
    """

    context: RaggedRows
    targets: RaggedRows
    used: np.ndarray


def pad_rows(evaluations: EvaluationSet, rows: list[np.ndarray]) -> RaggedRows:
    """Gather rows of several models into padded arrays.

    Parameters
    ----------
    evaluations : EvaluationSet
        Where the rows are.
    rows : list of ndarray
        Row numbers for each model, at least one each.

    Returns
    -------
    RaggedRows
        Of shape (len(rows), longest).
    """
    index, mask = pad(rows)
    return RaggedRows(
        evaluations.query_codes[index].astype(np.int64),
        evaluations.scores[index],
        mask,
    )


def pad(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stack arrays of integers, at least one long, to the length of the longest.

    Returns
    -------
    stacked : ndarray of shape (len(rows), longest)
        Padded with the first element of each array.
    mask : ndarray of shape (len(rows), longest), bool
        False on padding.
    """
    lengths = np.array([len(r) for r in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    stacked = np.repeat(np.array([r[0] for r in rows])[:, None], mask.shape[1], axis=1)
    stacked[mask] = np.concatenate(rows)
    return stacked, mask


def draw_batches(
    evaluations: EvaluationSet,
    rng: np.random.Generator,
    *,
    n_models: int,
    min_context: int,
    max_context: int,
    n_targets: int,
    n_parts: int = 1,
) -> Iterator[list[Batch]]:
    """Yield training batches for ever, each divided by models.

    The size of the contexts varies from step to step, evenly on a log scale, so
    that the encoder learns to embed models from few evaluations and from many.
    Contexts and targets are drawn independently.

    Parameters
    ----------
    evaluations : EvaluationSet
        Training evaluations.
    rng : numpy.random.Generator
        Source of randomness.
    n_models : int
        Models per step, at most.
    min_context, max_context : int
        Range of the number of evaluations per model shown to the encoder.
    n_targets : int
        Queries per model in the loss, at most.
    n_parts : int, default=1
        Parts of a batch; fewer where there are fewer models.

    Yields
    ------
    list of Batch
        The parts of one step, with different models.
    """
    n_models = min(n_models, evaluations.n_models)
    low, high = np.log(min(min_context, max_context)), np.log(max_context)
    while True:
        models = np.sort(
            rng.choice(evaluations.n_models, n_models, replace=False, shuffle=False)
        )
        # One size for all models of a step: contexts need hardly any padding.
        size = round(float(np.exp(rng.uniform(low, high))))
        context = _draw_rows(evaluations, models, size, rng)
        targets = _draw_rows(evaluations, models, n_targets, rng)
        yield [
            _with_local_codes(
                pad_rows(evaluations, context[part]),
                pad_rows(evaluations, targets[part]),
            )
            for part in _parts(n_models, n_parts)
        ]


def _parts(n_models: int, n_parts: int) -> list[slice]:
    """Divide the models of a batch as evenly as can be."""
    limits = np.linspace(0, n_models, min(n_parts, n_models) + 1).astype(int)
    return [slice(*pair) for pair in pairwise(limits)]


def largest_contexts(
    evaluations: EvaluationSet, size: int, rng: np.random.Generator
) -> RaggedRows:
    """Draw at most ``size`` evaluations of every model."""
    models = np.arange(evaluations.n_models)
    return pad_rows(evaluations, _draw_rows(evaluations, models, size, rng))


def _draw_rows(
    evaluations: EvaluationSet, models: np.ndarray, size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    rows = []
    for model in models:
        start, end = evaluations.offsets[model : model + 2]
        n = min(size, end - start)
        # In canonical order, so that sums do not depend on the order of the draw.
        rows.append(start + np.sort(rng.choice(end - start, n, replace=False)))
    return rows


def _with_local_codes(context: RaggedRows, targets: RaggedRows) -> Batch:
    # Encodings of the step are gathered, and get their noise, once per distinct query.
    used, local = np.unique(
        np.concatenate([context.queries.ravel(), targets.queries.ravel()]),
        return_inverse=True,
    )
    in_context, in_targets = np.split(local, [context.queries.size])
    return Batch(
        RaggedRows(
            in_context.reshape(context.queries.shape), context.scores, context.mask
        ),
        RaggedRows(
            in_targets.reshape(targets.queries.shape), targets.scores, targets.mask
        ),
        used,
    )
