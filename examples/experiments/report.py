"""A Markdown report made from the files that the experiments have left."""

import platform
import shlex
import sys
from datetime import UTC, datetime

import pandas as pd
import paper
from markdown import picture
from options import SUMMARY, parse_options, read_pools, sources, speed
from results_versions import commit, results_version
from sections import SECTIONS
from summary_page import PAGE as SUMMARY_PAGE
from summary_page import PICTURE as SUMMARY_PICTURE

import skl_locus

FILE_NAME = "report.md"
NOTES_NAME = "notes.md"
"""File of remarks on a run, written by hand, that the report includes."""


def write_report(options):
    """Write the report; return its path."""
    blocks = ["# The experiments of the LOCUS paper, redone", *about(options)]
    notes = options.output / NOTES_NAME
    if notes.exists():
        blocks.append(notes.read_text().strip())
    blocks += in_two_minutes(options)
    for files in sources(options):
        blocks += [f"## {files.name}", *about_log(files, options)]
        folder = options.output / files.name
        for name, (title, section) in SECTIONS.items():
            if any(folder.glob(f"{name}*.csv")):
                blocks.append(f"### {title}")
                blocks += section(reader(folder), files.name)
    path = options.output / FILE_NAME
    path.write_text("\n\n".join(blocks) + "\n")
    return path


def in_two_minutes(options):
    """Link the page of the summary, where one was written."""
    page = options.output / SUMMARY / SUMMARY_PAGE
    if not page.exists():
        return []
    place = f"{SUMMARY}/{SUMMARY_PAGE}"
    return [
        f"**Every method in two minutes:** [one table and one figure]({place}).",
        picture(SUMMARY, SUMMARY_PICTURE),
    ]


def reader(folder):
    """Return a function that reads a table by name, empty where there is none."""

    def read(name):
        path = folder / f"{name}.csv"
        if not path.exists() or path.stat().st_size <= 1:
            return pd.DataFrame()
        return pd.read_csv(path)

    return read


def about(options):
    half = f"the {tested_part(options)}"
    versions = [f"{name} {results_version(name)}" for name in options.methods]
    return [
        f"skl_locus {skl_locus.__version__} (commit {commit()}), "
        f"Python {platform.python_version()}, "
        f"{platform.machine()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. "
        f"Plan: {speed(options)}. Test queries come from {half}.",
        f"Results versions (protocol.method): {', '.join(versions)}.",
        f"Command: `{shlex.join(sys.argv)}`",
        "Seeds: permutation of the halves 100; draw s uses `default_rng(s)`, "
        "s = 0, 1, ..., and so do the routers; models are held out with seed 100; "
        "resampling uses seed 0. Sections 4, 5 and 7 use draw 0.",
        f"**What the paper has:** {paper.DATA}. {comparability(options)} The row "
        "`LOCUS (paper)` is the paper's network; `LOCUS` adds local evidence and a "
        "bilinear term.",
    ]


def comparability(options):
    if options.embedllm:
        return (
            "Pool, splits and tasks are the paper's; which training queries it drew is "
            "not known, so that single numbers differ by chance."
        )
    return (
        "Its pool, queries and tasks are others than those below, so that its numbers "
        "are a reference for orders of magnitude and orderings, not targets."
    )


def tested_part(options):
    """Name the queries of the test."""
    if options.embedllm:
        return (
            "test split of EmbedLLM, as in the paper (`--report`)"
            if options.report
            else "validation split of EmbedLLM; the test split was not read"
        )
    return (
        "test half (`--report`)"
        if options.report
        else "development half; the test half was not read"
    )


def about_log(files, options):
    """Say what is in the log, and so what differs from the paper's data."""
    blocks = []
    for log in filter(None, read_pools(files, options)):
        known = log.scores == log.scores
        graded = known & (log.scores > 0) & (log.scores < 1)
        blocks.append(
            f"Pool `{log.pool}`: {len(log.models)} models (paper: 112), "
            f"{len(log.texts)} distinct queries of {len(set(log.tasks))} tasks "
            f"(paper: 10), {known.sum()} evaluations ({known.mean():.0%} of all "
            f"pairs), {'graded' if graded.any() else '0/1'} scores, mean "
            f"{log.scores[known].mean():.3f}, {log.vectors.shape[1]}-dimensional "
            f"encodings (`{files.encodings.name}`); {len(log.rest)} queries to train "
            f"on, {len(log.test)} to test on." + new_models_of(log)
        )
    return blocks


def new_models_of(log):
    if not log.held_out:
        return ""
    found = [name for name in log.held_out if name in set(log.models)]
    missing = sorted(set(log.held_out) - set(found))
    return (
        f" The new models of section 2 are the {len(found)} held out in the paper"
        + (f"; not in the files: {', '.join(missing)}." if missing else ", by name.")
    )


if __name__ == "__main__":
    print(write_report(parse_options(__doc__)))
