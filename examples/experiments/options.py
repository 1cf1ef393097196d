"""Options on the command line, the same for all experiments, and their logs."""

import argparse
from pathlib import Path

import embedllm
from methods import METHODS, make
from protocol import ALL_MODELS, Files, read_log, restrict

from skl_locus.datasets import get_data_home

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
FOLDERS = ("zeroeval", "mmlu_pro")
QUICK_FOLDERS = FOLDERS[:1]
SUMMARY = "summary"
SUMMARY_FOLDERS = ("bfcl", "routerbench", "zeroeval", "mmlu_pro")

DEFAULT_POOLS = {"zeroeval": ("complete", "mid"), "mmlu_pro": (ALL_MODELS, "mid")}
"""The pool of each known log for all experiments, and a second one for the first."""

ENCODERS = ("minilm", "mpnet")


def parse_options(description, arguments=None):
    """Read the options of a script (or of all of them)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_inputs(parser)
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(get_data_home()) / "experiments",
        help="results per configuration, to go on after an interruption",
    )
    parser.add_argument(
        "--quick", action="store_true", help="minutes: fewer sizes, draws and models"
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="seconds: tiny networks whose numbers mean nothing",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="read the test half; otherwise the other half is split again",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="draws of every cell, instead of the plan's",
    )
    add_summary(parser)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="NAME")
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.encoder is None:
        options.encoder = ENCODERS[1] if options.embedllm else ENCODERS[0]
    check(parser, options)
    return options


def add_summary(parser):
    parser.add_argument(
        "--summary",
        action="store_true",
        help="every method on four logs, instead of the paper's experiments",
    )
    parser.add_argument(
        "--timings",
        action="store_true",
        help="measure the fits and routes of the summary alone",
    )
    parser.add_argument(
        "--cached",
        action="store_true",
        help="compute nothing: write the summary of what is there",
    )


def add_inputs(parser):
    parser.add_argument(
        "--data",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="folders laid out as those of ../shared/data, which are the default",
    )
    for name in ("evaluations", "queries", "encodings", "models"):
        parser.add_argument(
            f"--{name}", type=Path, metavar="FILE", help="any other log, by its files"
        )
    parser.add_argument(
        "--embedllm",
        type=Path,
        metavar="FOLDER",
        help="the paper's own protocol on the files that EmbedLLM published",
    )
    parser.add_argument(
        "--encoder", help="encodings of a folder; minilm, and mpnet for --embedllm"
    )
    parser.add_argument(
        "--pools", nargs="+", metavar="NAME", help="the main pool, and a second one"
    )


def check(parser, options):
    files = (options.evaluations, options.queries, options.encodings)
    if any(files) and not all(files):
        parser.error("--evaluations, --queries and --encodings go together")
    if options.evaluations and options.pools:
        parser.error("--pools names pools of a folder; give it by --data")
    if options.embedllm and (any(files) or options.data or options.pools):
        parser.error("--embedllm is a log of its own; give no other by its files")
    for path in embedllm.split_files(options.embedllm) if options.embedllm else ():
        if not path.exists():
            parser.error(f"{path} is not there; --embedllm needs all three splits")
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        parser.error(f"unknown method {unknown[0]!r}; known: {', '.join(METHODS)}")
    for log in sources(options):
        if not log.evaluations.exists():
            parser.error(
                f"{log.evaluations} is not there; name folders by --data, or a log by "
                "--evaluations, --queries and --encodings"
            )


def speed(options):
    """Name the plan: each experiment has one for every speed, and the paper's own."""
    if options.smoke:
        return "smoke"
    if options.quick:
        return "quick"
    return "paper" if options.embedllm else "full"


def sources(options):
    """Return the files of every log that is asked for."""
    if options.embedllm:
        return [embedllm.converted(options.embedllm, options)]
    if options.evaluations:
        name = options.evaluations.resolve().parent.name or "log"
        return [
            Files(
                name,
                options.evaluations,
                options.queries,
                options.encodings,
                options.models,
            )
        ]
    folders = options.data or [SHARED_DATA / name for name in planned_folders(options)]
    return [Files.in_folder(folder, options.encoder) for folder in folders]


def planned_folders(options):
    if options.summary or options.timings:
        return SUMMARY_FOLDERS
    return FOLDERS if speed(options) == "full" else QUICK_FOLDERS


def read_pools(files, options):
    """Read a log; return it restricted to its main pool, and to a second one or None.

    What is fast has no second pool.
    """
    log = read_log(files, report=options.report)
    names = options.pools or DEFAULT_POOLS.get(files.name, (ALL_MODELS,))
    if speed(options) in ("quick", "smoke"):
        names = names[:1]
    pools = [restrict(log, name, files) for name in names]
    return pools[0], pools[1] if len(pools) > 1 else None


def main_logs(options):
    """Yield the main pool of every log."""
    for files in sources(options):
        yield read_pools(files, options)[0]


def seeds(options, planned):
    return range(planned if options.seeds is None else options.seeds)


def job(options, method, seed, **values):
    """Describe a job: its values and all parameters of its router."""
    router = make(method, seed, options.smoke, **values.get("changes", {}))
    parameters = {k: repr(v) for k, v in router.get_params(deep=False).items()}
    return {
        "method": method,
        "seed": seed,
        "tiny": options.smoke,
        "parameters": parameters,
        **values,
    }


def folder_of(log, options):
    folder = options.output / log.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def summary_folder(options):
    folder = options.output / SUMMARY
    folder.mkdir(parents=True, exist_ok=True)
    return folder
