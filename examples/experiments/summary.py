"""Every method on four logs: one table, one figure, and the long tables behind them.

    python examples/experiments/run_all.py --summary --quick
    python examples/experiments/run_all.py --summary --report
    python examples/experiments/run_all.py --timings

The first takes about 20 minutes on two cores. Results are kept per method and draw: an
interrupted run goes on where it stopped. With ``--cached``, nothing is computed: the
page has what is there, and counts what is missing. The seconds of fits and routes are
measured apart, by ``--timings``, one after the other in one process. Only ``--report``
reads test halves.
"""

from dataclasses import dataclass
from itertools import chain

import joblib
import pandas as pd
from jobs import run_jobs
from options import (
    SUMMARY,
    job,
    read_pools,
    seeds,
    sources,
    speed,
    summary_folder,
)
from protocol import COMPLETE, SHIFT, available_sizes, largest_tasks
from summary_jobs import summary_job
from summary_page import write_page
from summary_tables import long_tables

SHIFT_LOGS = ("bfcl", "mmlu_pro")
"""Logs of many tasks, of which each is left out of the training once."""


@dataclass(frozen=True)
class Plan:
    """Training queries, draws, and how many tasks are left out (None: each of them).

    Without a task, training has ``task_queries``, fewer: there are many such fits.
    """

    n_queries: int
    draws: int
    tasks: int | None
    task_queries: int


PLANS = {
    "full": Plan(512, 3, None, 256),
    "paper": Plan(1024, 3, 0, 256),
    "quick": Plan(256, 1, 2, 256),
    "smoke": Plan(48, 1, 1, 48),
}


@dataclass(frozen=True)
class Step:
    """All methods on one draw of one cell of a log."""

    log: str
    cell: str
    n: int
    seed: int


def run(options):
    """Compute what is missing, and write the tables and the page."""
    plan = PLANS[speed(options)]
    logs = {files.name: read_pools(files, options)[0] for files in sources(options)}
    steps = all_steps(logs, plan, options)
    results = {step: results_of(step, logs[step.log], options) for step in steps}
    return write(results, steps, logs, options)


def all_steps(logs, plan, options):
    """List the steps in an order in which an unfinished run says most.

    First a draw of each log, then the tasks left out, then the other draws.
    """
    first, *others = [
        [
            Step(name, COMPLETE, available_sizes(log, (plan.n_queries,))[-1], seed)
            for name, log in logs.items()
        ]
        for seed in seeds(options, plan.draws)
    ]
    without_task = [
        Step(name, *cell, 0)
        for name, log in logs.items()
        if name in SHIFT_LOGS or len(logs) == 1
        for cell in shift_cells(log, plan)
    ]
    return [*first, *without_task, *chain(*others)]


def shift_cells(log, plan):
    """List (cell, training queries) with a task left out, largest tasks first."""
    n_tasks = len(set(log.tasks))
    if n_tasks == 1:
        return []
    tasks = largest_tasks(log, n_tasks if plan.tasks is None else plan.tasks)
    others = {task: int((log.tasks[log.rest] != task).sum()) for task in tasks}
    return [(f"{SHIFT}{task}", min(plan.task_queries, others[task])) for task in tasks]


def results_of(step, log, options):
    """Return the results by method; with ``--cached``, of those that are there."""
    costs = None if log.costs is None else joblib.hash(log.costs)
    jobs = [
        job(options, method, step.seed, cell=step.cell, n=step.n, costs=costs)
        for method in options.methods
    ]
    title = f"{SUMMARY} ({step.cell}, draw {step.seed})"
    results = run_jobs(summary_job, log, jobs, options, title)
    return {
        job["method"]: result
        for job, result in zip(jobs, results, strict=True)
        if result is not None
    }


def write(results, steps, logs, options):
    """Write the long tables and the page; return the path of the page."""
    folder = summary_folder(options)
    tables = long_tables(results, logs)
    for name, table in tables.items():
        table.to_csv(folder / f"{SUMMARY}_{name}.csv", index=False)
    missing = [
        {"log": step.log, "cell": step.cell, "draw": step.seed, "method": method}
        for step in steps
        for method in options.methods
        if method not in results.get(step, {})
    ]
    pd.DataFrame(missing, columns=["log", "cell", "draw", "method"]).to_csv(
        folder / f"{SUMMARY}_missing.csv", index=False
    )
    return write_page(tables, len(missing), options)
