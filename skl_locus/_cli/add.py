"""The command that adds models to a saved router."""

from __future__ import annotations

from pathlib import Path

import click

from skl_locus._cli.commands import Command, write_out
from skl_locus._cli.logs import LogSource, log_argument
from skl_locus._cli.outputs import (
    check_writable,
    json_option,
    json_text,
    output_options,
)
from skl_locus._cli.saved import (
    encoder_option,
    load_saved,
    router_in,
    rows_for,
    save_router,
    saved_argument,
)


@click.command(
    cls=Command,
    example="skl-locus add router.locus new_model.csv\n"
    "skl-locus add router.locus week.csv --replace -o refreshed.locus",
)
@saved_argument
@log_argument(with_encodings=True)
@encoder_option
@click.option(
    "--replace",
    is_flag=True,
    help="Forget what is stored of the models in LOG; otherwise LOG is added to it.",
)
@output_options(required=False)
@json_option
def add(
    saved: Path,
    log: LogSource,
    encoder: str | None,
    replace: bool,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Add the models of LOG to the router in SAVED, or refine those that it has.

    Nothing is trained. SAVED is replaced in one step, unless --output names another
    file.
    """
    check_writable(output, force=force)
    estimator = load_saved(saved, encoder)
    router = router_in(estimator)
    before = set(router.models_)
    table, _ = log.read()
    router.add_models(rows_for(estimator, table), table["score"], replace=replace)
    check_writable(output, force=force)
    save_router(estimator, output or saved)
    new = [label for label in router.models_ if label not in before]
    given = table["model"].unique()
    refined = [label for label in router.models_ if label in before & set(given)]
    result = {"output": output or saved, "added": new, "refined": refined}
    if as_json:
        write_out(json_text(result))
        return
    for label in new:
        write_out(f"added {label}")
    for label in refined:
        write_out(f"refined {label}")
