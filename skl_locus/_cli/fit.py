"""The command that fits a router."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skl_locus._cli.commands import Command, note, shows_progress, write_out
from skl_locus._cli.logs import LogSource, log_argument
from skl_locus._cli.outputs import (
    check_writable,
    json_option,
    json_text,
    output_options,
)
from skl_locus._cli.policies import POLICY_OPTIONS, PolicySettings
from skl_locus._cli.saved import (
    HASHING,
    ROUTERS,
    new_encoder,
    new_router,
    require_encoder,
    save_router,
)

if TYPE_CHECKING:
    import pandas as pd


def parse_parameters(
    _: click.Context, __: click.Parameter, values: Sequence[str]
) -> dict[str, Any]:
    """Return parameters of an estimator from texts such as "n_clusters=8"."""
    import ast

    parameters = {}
    for text in values:
        name, is_given, value = text.partition("=")
        if not is_given:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.")
        try:
            parameters[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parameters[name] = value  # a text without quotation marks
    return parameters


router_options = (
    click.option(
        "--param",
        "-p",
        "parameters",
        multiple=True,
        callback=parse_parameters,
        metavar="NAME=VALUE",
        help="Parameter of the router, such as n_components=64; can be repeated.",
    ),
    click.option(
        "--encoder",
        metavar="NAME|FOLDER",
        help="Encoder of texts: a sentence-transformers model, or "
        f'"{HASHING}", which counts words and needs no model.',
    ),
    click.option("--random-state", type=int, help="Seed, for the same result again."),
)
"""Options of commands that fit routers."""


def add_options(options: Sequence[Any]) -> Any:
    """Return a decorator that adds options to a command, in their order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command(
    cls=Command,
    example="skl-locus fit log.parquet -o router.locus --encoder all-MiniLM-L6-v2\n"
    "skl-locus fit log.csv -o router.locus --encoder hashing --router kmeans\n"
    "skl-locus fit log.csv -o policy.locus --costs prices.csv --min-correctness 0.7",
)
@log_argument(with_encodings=True)
@output_options(required=True)
@click.option(
    "--router",
    "name",
    type=click.Choice(list(ROUTERS)),
    default="locus",
    show_default=True,
    help="Class of the router.",
)
@add_options(router_options)
@add_options(POLICY_OPTIONS)
@click.option(
    "--no-evaluations",
    is_flag=True,
    help="Leave the evaluations out of the file; models then cannot be added.",
)
@json_option
def fit(
    log: LogSource,
    output: Path,
    force: bool,
    name: str,
    parameters: dict[str, Any],
    encoder: str | None,
    random_state: int | None,
    no_evaluations: bool,
    as_json: bool,
    **policy: Any,
) -> None:
    """Fit a router to LOG and save it.

    With costs, or a floor or a target of quality, a policy around the router is saved.
    It is fitted on a part of the queries that is held out from the router.
    """
    settings = PolicySettings(**policy)
    settings.check()
    router = new_router(name, parameters, random_state)
    router.set_params(encoder=new_encoder(encoder))
    if shows_progress() and "verbose" in router.get_params():
        router.set_params(verbose=1)
    check_writable(output, force=force)
    table, _ = log.read()
    require_encoder(encoder, table)
    estimator = _fitted(router, table, settings, random_state)
    check_writable(output, force=force)
    save_router(estimator, output, evaluations=not no_evaluations)
    import skl_locus

    header = {"output": output, **skl_locus.describe(output)}
    if as_json:
        write_out(json_text(header))
        return
    write_out(f"{header['estimator']} of {header['pool']['n_models']} models")
    for figure, value in header["held_out"].items():
        write_out(f"{figure}: {value}")


def _fitted(
    router: Any,
    table: pd.DataFrame,
    settings: PolicySettings,
    random_state: int | None,
) -> Any:
    kind = type(router).__name__
    if not settings.is_given:
        note(f"fitting {kind}")
        return router.fit(table, table["score"])
    train, held_out = settings.split(table, random_state)
    note(f"fitting {kind}; {len(held_out)} evaluations are held out")
    router.fit(train, train["score"])
    note("fitting the policy")
    return settings.policy(router).fit(held_out, held_out["score"])
