"""The command that routes queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from skl_locus._cli.commands import Command, note, write_out
from skl_locus._cli.outputs import (
    check_writable,
    json_option,
    json_text,
    output_options,
)
from skl_locus._cli.policies import read_costs
from skl_locus._cli.query_lines import FORMATS, Query, read_queries
from skl_locus._cli.saved import (
    encoder_option,
    labels_of,
    load_saved,
    router_in,
    rows_for,
    saved_argument,
    takes_texts,
)
from skl_locus._utils.files import new_file
from skl_locus.exceptions import LogFormatError

DECIMALS = 6
"""Decimals of probabilities, which are float32."""


@click.command(
    cls=Command,
    example="echo 'What is 7 * 8?' | skl-locus route router.locus\n"
    "skl-locus route router.locus queries.txt -k 3 --unavailable large-model\n"
    "skl-locus route router.locus queries.jsonl --json",
)
@saved_argument
@click.argument("queries", type=click.Path(path_type=Path), default="-")
@click.option(
    "-k",
    "k",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of models for each query, best first.",
)
@click.option(
    "--models", multiple=True, metavar="MODEL", help="Choose among these; repeatable."
)
@click.option(
    "--unavailable", multiple=True, metavar="MODEL", help="Not this one; repeatable."
)
@click.option(
    "--costs",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Table of the models' costs per call (columns model, cost), for a router "
    "without a policy.",
)
@click.option(
    "--cost-weight", type=click.FloatRange(min=0), help="Value of a unit of cost."
)
@click.option(
    "--min-correctness",
    type=click.FloatRange(0, 1),
    help="Take the cheapest model that is right with this probability.",
)
@click.option(
    "--switch-margin",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Gain up to which the incumbent of a query stays.",
)
@click.option(
    "--switch-cost",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Cost of another model than the incumbent, in the unit of --costs.",
)
@encoder_option
@click.option(
    "--input-format",
    type=click.Choice(FORMATS),
    help="Format of QUERIES; by its ending by default, else one query per line.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Queries that are read before they are routed together.",
)
@output_options(required=False)
@json_option
def route(
    saved: Path,
    queries: Path,
    k: int,
    models: Sequence[str],
    unavailable: Sequence[str],
    encoder: str | None,
    input_format: str | None,
    batch_size: int,
    output: Path | None,
    force: bool,
    as_json: bool,
    costs: Path | None,
    **rules: float | None,
) -> None:
    """Choose models for QUERIES by the router or policy in SAVED.

    QUERIES is a file, or standard input by default: one text per line, or one vector
    per line for a router of vectors; jsonl with objects that have "query", or the
    "messages" of a chat, and optionally "id" and "incumbent", the model that answers
    the session already; a table (csv, tsv, parquet) with the columns query and
    optionally query_id and incumbent; or a .npy file of vectors. The result has one
    line per query, with the models separated by tabs, or one JSON object with --json.
    """
    check_writable(output, force=force)
    estimator = load_saved(saved, encoder)
    rank = _ranking_function(estimator, k, models, unavailable, costs, rules)
    show = _as_object if as_json else _as_labels
    with _lines_to(output, force) as write:
        batches = read_queries(queries, input_format, takes_texts(estimator))
        for batch in _in_batches(batches, batch_size):
            ranking = rank(batch)
            for row, query in enumerate(batch):
                write(show(query, ranking, row))


def _ranking_function(
    estimator: Any,
    k: int,
    models: Sequence[str],
    unavailable: Sequence[str],
    costs: Path | None,
    rules: dict[str, float | None],
) -> Callable[[list[Query]], Any]:
    """Return what ranks models for queries."""
    router = router_in(estimator)
    allowed = labels_of(models, router.models_) if models else list(router.models_)
    unknown = [label for label in allowed if label not in set(router.models_)]
    if unknown:
        raise ValueError(f"The router has no model {unknown[0]!r}.")
    down = set(labels_of(unavailable, router.models_))
    for label in down - set(router.models_):
        note(f"ignored --unavailable {label}: the router has no such model")
    allowed = [label for label in allowed if label not in down]
    if not allowed:
        raise ValueError("All models are unavailable.")
    incumbents = partial(_incumbents, router)
    if router is not estimator and not hasattr(estimator, "steps"):
        if costs is not None or any(rules.values()):
            raise click.UsageError(
                "SAVED has a policy, with costs and rules of its own; options for them "
                "are for routers without one."
            )
        others = [label for label in router.models_ if label not in allowed]
        return lambda batch: estimator.rank(
            _values(batch), k, unavailable=others, incumbent=incumbents(batch)
        )
    options = {**rules, "costs": _costs_by_label(costs, router)}
    return lambda batch: router.rank(
        rows_for(estimator, _values(batch)),
        k,
        allowed,
        incumbent=incumbents(batch),
        **options,
    )


def _values(batch: Sequence[Query]) -> list:
    return [query.value for query in batch]


def _incumbents(router: Any, batch: Sequence[Query]) -> list | None:
    """Return the labels of the models that answer already, None without any."""
    names = [query.incumbent for query in batch]
    if all(name is None for name in names):
        return None
    known = {str(label): label for label in router.models_}
    # Others than the router's count as none.
    return [None if name is None else known.get(str(name)) for name in names]


def _costs_by_label(path: Path | None, router: Any) -> dict | None:
    if path is None:
        return None
    table = read_costs(path)
    if "cost" not in table:
        raise LogFormatError(
            "route needs the columns model and cost; prices per token need a policy "
            "(skl-locus fit --costs)",
            path,
        )
    labels = labels_of(list(table.index), router.models_)
    return dict(zip(labels, table["cost"], strict=True))


@contextmanager
def _lines_to(path: Path | None, force: bool) -> Iterator[Callable[[str], Any]]:
    """Give what writes a line: at once on standard output, in one step to a file."""
    if path is None:
        yield write_out
        return
    with new_file(path) as file:
        yield lambda line: file.write(f"{line}\n".encode(errors="backslashreplace"))
        check_writable(path, force=force)


def _in_batches(queries: Iterator[Query], size: int) -> Iterator[list[Query]]:
    batch: list[Query] = []
    for query in queries:
        batch.append(query)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _as_labels(_: Query, ranking: Any, row: int) -> str:
    # A label with a tab or the end of a line would look like several.
    labels = map(str, ranking.labels[row])
    return "\t".join(
        label if label.isprintable() else json.dumps(label) for label in labels
    )


def _as_object(query: Query, ranking: Any, row: int) -> str:
    result: dict[str, Any] = {"line": query.line}
    if query.name is not None:
        result["id"] = query.name
    result |= {
        "models": ranking.labels[row],
        "probabilities": [
            round(float(P), DECIMALS) for P in ranking.probabilities[row]
        ],
    }
    if ranking.reached is not None:
        result["reached"] = ranking.reached[row]
    return json_text(result)
