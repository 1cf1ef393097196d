"""The command that removes models from a saved router."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from skl_locus._cli.commands import Command, write_out
from skl_locus._cli.outputs import (
    check_writable,
    json_option,
    json_text,
    output_options,
)
from skl_locus._cli.saved import (
    labels_of,
    load_saved,
    router_in,
    save_router,
    saved_argument,
)


@click.command(cls=Command, example="skl-locus remove router.locus old-model")
@saved_argument
@click.argument("models", nargs=-1, required=True)
@output_options(required=False)
@json_option
def remove(
    saved: Path,
    models: Sequence[str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Remove MODELS, and their evaluations, from the router in SAVED.

    SAVED is replaced in one step, unless --output names another file.
    """
    check_writable(output, force=force)
    estimator = load_saved(saved, encoder=None)
    router = router_in(estimator)
    removed = labels_of(models, router.models_)
    router.remove_models(removed)
    check_writable(output, force=force)
    save_router(estimator, output or saved)
    result = {"output": output or saved, "removed": removed, "left": router.models_}
    if as_json:
        write_out(json_text(result))
        return
    for label in removed:
        write_out(f"removed {label}")
