"""The command that evaluates routers on queries that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skl_locus._cli.commands import Command, note, write_out
from skl_locus._cli.figures import (
    comparison,
    encoded_for,
    headroom,
    of_known_models,
    overall,
)
from skl_locus._cli.fit import add_options, router_options
from skl_locus._cli.logs import LogSource, log_argument
from skl_locus._cli.outputs import json_option, json_text, records
from skl_locus._cli.policies import split_by_query
from skl_locus._cli.saved import (
    ROUTERS,
    load_saved,
    new_encoder,
    new_router,
    require_encoder,
    router_in,
)

if TYPE_CHECKING:
    import pandas as pd


@click.command(
    cls=Command,
    example="skl-locus evaluate log.parquet --encoder hashing --compare kmeans\n"
    "skl-locus evaluate new_queries.csv --saved router.locus --json",
)
@log_argument(with_encodings=True)
@click.option(
    "--saved",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Evaluate this saved router on all queries of LOG; repeatable.",
)
@click.option(
    "--router",
    "name",
    type=click.Choice(list(ROUTERS)),
    default="locus",
    show_default=True,
    help="Router to fit on a part of LOG, without --saved.",
)
@click.option(
    "--compare",
    "comparators",
    multiple=True,
    type=click.Choice(list(ROUTERS)),
    help="Router to compare with it; repeatable.",
)
@click.option(
    "--test-size",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the queries that routers are not fitted on.",
)
@click.option(
    "--allow-seen",
    is_flag=True,
    help="Evaluate saved routers on queries that they were fitted on, too.",
)
@add_options(router_options)
@json_option
def evaluate(
    log: LogSource,
    saved: Sequence[Path],
    name: str,
    comparators: Sequence[str],
    test_size: float,
    allow_seen: bool,
    parameters: dict[str, Any],
    encoder: str | None,
    random_state: int | None,
    as_json: bool,
) -> None:
    """Evaluate a router on queries of LOG that it has not seen.

    The router is fitted on a part of the queries and compared on the others: with the
    best single model, with the best model of each query (the oracle), and with other
    routers. With --saved, routers in files are compared on all queries.
    """
    policies: dict[str, Any] = {}
    if saved:
        if comparators or parameters:
            raise click.UsageError(
                "--saved evaluates routers in files; --compare and --param fit others."
            )
        names = [path.name for path in saved]
        if len(set(names)) < len(names):
            names = [str(path) for path in saved]
        routers = {
            key: load_saved(path, encoder)
            for key, path in zip(names, saved, strict=True)
        }
        table, _ = log.read()
        test, encoded, policies = _saved_on(routers, table)
        routers = {key: _without_policy(router) for key, router in routers.items()}
    else:
        names = list(dict.fromkeys([name, *comparators]))
        unfitted = {key: new_router(key, {}, random_state) for key in names}
        unfitted[name] = new_router(name, parameters, random_state)
        table, _ = log.read()
        require_encoder(encoder, table)
        train, test = split_by_query(table, test_size, random_state)
        encoded, train, test = _encoded(encoder, table, train, test)
        routers = {key: _fitted(router, train) for key, router in unfitted.items()}
        test = of_known_models(test, routers)
    compared = comparison(routers, test, random_state, allow_seen=allow_seen)
    won = headroom(encoded, random_state)
    if as_json:
        write_out(
            json_text(
                {
                    "n_evaluations": len(test),
                    "results": records(compared),
                    "policies": policies,
                    "headroom": {
                        "sentence": str(won),
                        "table": won.table.to_dict("index"),
                    },
                }
            )
        )
        return
    write_out(overall(compared).to_string(float_format="{:.4f}".format, na_rep="-"))
    for key, outcome in policies.items():
        figures = ", ".join(
            f"{figure} {value:.4g}" for figure, value in outcome.items()
        )
        write_out(f"policy {key}: {figures}")
    write_out(str(won))


def _saved_on(
    estimators: Mapping[str, Any], table: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the test rows, the same as vectors, and the outcomes of policies."""
    routers = {key: router_in(estimator) for key, estimator in estimators.items()}
    test = of_known_models(table, routers)
    policies = {
        key: estimator.evaluate(test, test["score"]).to_dict()
        for key, estimator in estimators.items()
        if hasattr(estimator, "choose")
    }
    encoded = encoded_for(next(iter(estimators.values())), test)
    return test, encoded, policies


def _without_policy(estimator: Any) -> Any:
    return router_in(estimator) if hasattr(estimator, "choose") else estimator


def _encoded(name: str | None, *tables: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """Encode the texts once for all routers."""
    if name is None:
        return tables
    from skl_locus import QueryEncoder

    # Encoders by name learn nothing in their fit, so that test queries may take part.
    encoder = QueryEncoder(new_encoder(name)).fit(tables[0])
    return tuple(encoder.transform(table) for table in tables)


def _fitted(router: Any, train: pd.DataFrame) -> Any:
    note(f"fitting {type(router).__name__}")
    return router.fit(train, train["score"])
