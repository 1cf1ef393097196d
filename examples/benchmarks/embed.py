"""Embed models from their evaluations: the package against the plain form.

Both have the same weights and see the same encodings and scores; the plain form
embeds one model after another. Also fitted: how the time grows with the number of
evaluations and of models, as exponents of a power law.
"""

from dataclasses import replace

import numpy as np
import torch
from made import (
    N_FEATURES,
    N_MODELS,
    encodings,
    evaluation_set,
    largest_difference,
    networks,
    no_grad,
    scores,
)
from measuring import (
    alternate,
    count_flops,
    parse_options,
    peak_memory,
    report,
    sized,
)

from skl_locus._torch.inference import embed

FORMS = ("plain", "package", "package, bfloat16")
GROWTH = (1, 2, 4, 8)
"""Sizes of which the growth is fitted, as parts of the largest."""


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    works = prepare(options)
    n_models, n_evaluations = size(options)
    found = {form: work() for form, work in works.items()}
    report(
        options,
        "embed",
        f"embed {n_models} models x {n_evaluations} evaluations",
        alternate(works, options.repeats),
        flops={form: count_flops(work) for form, work in works.items()},
        peaks={form: peak_memory(prepare, form, options) for form in FORMS},
        target="6 times faster, extra memory under 600 MB",
        difference={
            form: largest_difference(found[form], found["plain"]) for form in FORMS[1:]
        },
        exponents=exponents(options),
    )


def size(options):
    return sized(options, (N_MODELS, 4096), (N_MODELS, 512), (4, 64))


def prepare(options):
    n_models, n_evaluations = size(options)
    state, twin, placement = networks(N_FEATURES)
    vectors = encodings(n_evaluations, N_FEATURES)
    matrix = scores(n_models, n_evaluations)
    evaluations = evaluation_set(vectors, matrix)
    reduced = replace(placement, bfloat16_inference=True)
    phi, y = torch.tensor(vectors), torch.tensor(matrix)
    return {
        "plain": no_grad(lambda: twin.embed_each(phi, y)),
        "package": lambda: embed(state, evaluations, placement),
        "package, bfloat16": lambda: embed(state, evaluations, reduced),
    }


def exponents(options):
    n_models, n_evaluations = size(options)
    parts = np.array(GROWTH) / max(GROWTH)
    return {
        "evaluations": _exponent(
            options, [(n_models, int(part * n_evaluations)) for part in parts]
        ),
        "models": _exponent(
            options, [(max(1, int(part * n_models)), n_evaluations) for part in parts]
        ),
    }


def _exponent(options, sizes):
    """Fit seconds = a * size ** exponent by least squares of logarithms."""
    state, _, placement = networks(N_FEATURES)
    works = {}
    for n_models, n_evaluations in sizes:
        vectors = encodings(n_evaluations, N_FEATURES)
        evaluations = evaluation_set(vectors, scores(n_models, n_evaluations))
        works[n_models * n_evaluations] = lambda e=evaluations: embed(
            state, e, placement
        )
    seconds = alternate(works, options.repeats)
    medians = [np.median(times) for times in seconds.values()]
    return float(np.polyfit(np.log(list(seconds)), np.log(medians), 1)[0])


if __name__ == "__main__":
    main()
