"""Redo the tables and figures of the LOCUS paper and write one report.

    python examples/experiments/run_all.py --quick

takes minutes on the zeroeval log; without ``--quick``, both logs of ../shared/data
take more than an hour on two cores. Only ``--report`` reads test halves. Any other log
is named by its files (``--evaluations``, ``--queries``, ``--encodings``, perhaps
``--models``). Tables (CSV), pictures (PNG) and report.md are left in ``--output``.
Results are kept per configuration, so that an interrupted run goes on where it stopped.

    python examples/experiments/run_all.py --summary --quick
    python examples/experiments/run_all.py --timings
    python examples/experiments/run_all.py --embedllm FOLDER --report

The first compares every method on four logs, on one page (see ``summary.py``); the
second measures its seconds; the third runs the paper's own protocol on the files that
EmbedLLM published (see ``embedllm.py``).
"""

import time

import e1_sample_efficiency
import e2_onboarding
import e3_robustness
import e4_geometry
import e5_portfolios
import e6_ablations
import e7_time
import summary
import summary_timings
from options import parse_options
from report import write_report

EXPERIMENTS = (
    e1_sample_efficiency,
    e2_onboarding,
    e4_geometry,
    e5_portfolios,
    e3_robustness,
    e6_ablations,
    e7_time,
)


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    if options.timings:
        print(summary_timings.run(options))
    if options.summary:
        print(summary.run(options))
    if not (options.timings or options.summary):
        run_experiments(options)


def run_experiments(options):
    for experiment in EXPERIMENTS:
        start = time.perf_counter()
        experiment.run(options)
        # Written each time: what an interrupted run leaves can be read.
        path = write_report(options)
        print(f"{experiment.NAME}: {time.perf_counter() - start:.0f} s -> {path}")


if __name__ == "__main__":
    main()
