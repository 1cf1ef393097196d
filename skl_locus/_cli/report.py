"""The command that writes a report of a router as one page."""

from __future__ import annotations

from pathlib import Path

import click

from skl_locus._cli.commands import Command, note, write_out
from skl_locus._cli.figures import (
    comparison,
    encoded_for,
    headroom,
    of_known_models,
    overall,
)
from skl_locus._cli.logs import LogSource, log_argument
from skl_locus._cli.outputs import (
    check_writable,
    json_option,
    json_text,
    output_options,
    write_file,
)
from skl_locus._cli.saved import (
    encoder_option,
    load_saved,
    router_in,
    rows_for,
    saved_argument,
)


@click.command(
    cls=Command, example="skl-locus report router.locus new_queries.csv -o report.html"
)
@saved_argument
@log_argument(with_encodings=True)
@encoder_option
@output_options(required=True)
@click.option(
    "--allow-seen",
    is_flag=True,
    help="Take queries that the router was fitted on, too, and say so on the page.",
)
@click.option("--random-state", type=int, default=0, show_default=True, help="Seed.")
@json_option
def report(
    saved: Path,
    log: LogSource,
    encoder: str | None,
    output: Path,
    force: bool,
    allow_seen: bool,
    random_state: int,
    as_json: bool,
) -> None:
    """Write a page about the router in SAVED, judged on the queries of LOG.

    The page has the models and their scores, a map and families of models, the quality
    of the routes, what routing could win, and the calibration. It needs no other file
    and no network.
    """
    import skl_locus
    from skl_locus._cli import report_sections as sections
    from skl_locus._cli.html_page import page

    check_writable(output, force=force)
    estimator = load_saved(saved, encoder)
    router = router_in(estimator)
    table, summary = log.read()
    test = of_known_models(table, {saved.name: router})
    rows = rows_for(estimator, test)
    note("comparing routes")
    compared = comparison(
        {saved.name: router}, rows, random_state, allow_seen=allow_seen
    )
    families = sections.families_of(router, rows)
    content = page(
        f"Router {saved.name}",
        [
            sections.about(skl_locus.describe(saved), summary, allow_seen),
            sections.models(router, rows, families),
            sections.families(families, rows),
            sections.map_of_models(router, families),
            sections.quality(overall(compared)),
            sections.headroom(headroom(encoded_for(estimator, test), random_state)),
            sections.calibration(router, rows),
        ],
    )
    check_writable(output, force=force)
    write_file(output, content.encode(errors="backslashreplace"))
    note(f"wrote {output}")
    if as_json:
        write_out(json_text({"output": output, "bytes": len(content)}))
