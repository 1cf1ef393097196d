"""Policies around routers, as the options of a command describe them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skl_locus.exceptions import LogFormatError

if TYPE_CHECKING:
    import pandas as pd


class Quality(click.ParamType):
    """A share of right answers, or that of the best single model."""

    name = "quality"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a number or "best_single"."""
        if value == "best_single":
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor best_single.", param, ctx)


POLICY_OPTIONS = (
    click.option(
        "--costs",
        type=click.Path(path_type=Path),
        metavar="FILE.csv",
        help="Table of the models' costs per call (columns model, cost) or prices per "
        "million tokens (model, price_in, price_out); otherwise costs are those in "
        "the log.",
    ),
    click.option(
        "--cost-weight", type=click.FloatRange(min=0), help="Value of a unit of cost."
    ),
    click.option(
        "--min-correctness",
        type=click.FloatRange(0, 1),
        help="Take the cheapest model that is right with this probability.",
    ),
    click.option(
        "--target-quality",
        type=Quality(),
        metavar="SCORE|best_single",
        help="Least cost at which the mean score is at least this.",
    ),
    click.option(
        "--target-cost", type=float, help="Best score at which the mean cost is this."
    ),
    click.option(
        "--confidence",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Certify --min-correctness at this level.",
    ),
    click.option(
        "--held-out",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.25,
        show_default=True,
        help="Share of the queries for a policy, which the router is not fitted on.",
    ),
)
"""Options of commands that fit a policy."""

GOALS = ("cost_weight", "min_correctness", "target_quality", "target_cost")
"""Options that say what a policy aims at."""

PRICES = ["price_in", "price_out"]
"""Columns of a table of prices."""


@dataclass(frozen=True)
class PolicySettings:
    """Options of a policy, named as the parameters of `skl_locus.RouterPolicy`.

    Parameters
    ----------
    costs : Path or None
        Table of costs or prices.
    cost_weight, min_correctness, target_quality, target_cost, confidence
        What the policy aims at.
    held_out : float
        Share of the queries that the policy is fitted on.
    """

    costs: Path | None
    cost_weight: float | None
    min_correctness: float | None
    target_quality: float | str | None
    target_cost: float | None
    confidence: float | None
    held_out: float

    @property
    def is_given(self) -> bool:
        """Whether there is to be a policy."""
        return any(getattr(self, goal) is not None for goal in GOALS)

    def check(self) -> None:
        """Raise if options need another one that is not given."""
        if self.is_given:
            return
        for name in ("costs", "confidence"):
            if getattr(self, name) is not None:
                goals = ", ".join(f"--{goal.replace('_', '-')}" for goal in GOALS)
                raise click.UsageError(f"--{name} goes with one of {goals}.")

    def split(
        self, table: pd.DataFrame, random_state: int | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows for the router and those for the policy."""
        return split_by_query(table, self.held_out, random_state)

    def policy(self, router: Any) -> Any:
        """Return a policy around a fitted router."""
        from skl_locus import RouterPolicy

        goals = {goal: getattr(self, goal) for goal in GOALS}
        return RouterPolicy(
            router,
            cost_model=self._cost_model(),
            confidence=self.confidence,
            **goals,
        )

    def _cost_model(self) -> Any:
        """Return a model of costs that is not fitted, or costs by label."""
        from skl_locus import CostModel

        if self.costs is None:
            return CostModel()
        table = read_costs(self.costs)
        if "cost" in table:
            return table["cost"].to_dict()
        return CostModel(prices=table[PRICES])


def split_by_query(
    table: pd.DataFrame, test_size: float, random_state: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two parts of a log that have no query in common."""
    from skl_locus.model_selection import QueryShuffleSplit

    splitter = QueryShuffleSplit(
        n_splits=1, test_size=test_size, random_state=random_state
    )
    train, test = next(splitter.split(table))
    return table.iloc[train], table.iloc[test]


def read_costs(path: Path) -> pd.DataFrame:
    """Read a table of costs per call, or of prices, with the models as its index."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"model": str}, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise LogFormatError(f"not a readable csv file ({error})", path) from error
    if "model" not in table or not ("cost" in table or set(PRICES) <= set(table)):
        raise LogFormatError(
            "it needs the columns model and cost, or model, price_in and price_out",
            path,
        )
    if table["model"].duplicated().any():
        name = table["model"][table["model"].duplicated()].iloc[0]
        raise LogFormatError(f"the model {name!r} has two rows", path)
    return table.set_index("model")
