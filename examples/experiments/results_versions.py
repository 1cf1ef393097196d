"""Versions of the experiments' results, raised by hand when numbers change.

A cached result is found again under these versions, so that moving or renaming code
lets hours of results stand, while a change of numbers is computed anew once its version
is raised. ``check_cells.py`` computes one small cell per method and fails where a
number has changed and its version has not.
"""

import subprocess
from pathlib import Path

PROTOCOL_VERSION = 1
"""Of halves, draws, measures and the jobs of the experiments: part of all results."""

METHOD_VERSIONS = {
    "LOCUS": 4,
    "LOCUS (paper)": 2,
    "kNN": 1,
    "kNN (softmax)": 1,
    "KMeans": 1,
    "KMeans (routing)": 1,
    "Linear": 1,
    "Linear (unpooled)": 1,
    "EmbedLLM": 1,
    "EmbedLLM+": 1,
    "IRT-Net": 1,
    "JE-IRT": 1,
    "MIRT": 1,
    "Prompt space": 1,
    "UniRoute": 1,
    "UniRoute (k-means)": 1,
    "ProxRouter": 1,
    "ProxRouter (kNN)": 1,
    "Avengers": 1,
    "Avengers-Pro": 1,
    "Best single": 1,
    "EmbedLLM d=232, 0 hidden": 1,
    "EmbedLLM d=64, 0 hidden": 1,
    "EmbedLLM d=64, 1 hidden": 1,
}
"""By name in ``methods.py``. Parameters are keyed apart: they need no new version."""


def results_version(method):
    """Return the version of a method's results, such as "1.3" (protocol, method)."""
    return f"{PROTOCOL_VERSION}.{METHOD_VERSIONS[method]}"


def commit():
    """Return the commit of this code, "unknown" outside its git repository."""
    folder = Path(__file__).parent
    # A release unpacked inside another repository is not part of its commits.
    tracked = _git(folder, "ls-files", Path(__file__).name)
    described = _git(folder, "describe", "--always", "--dirty", "--exclude", "*")
    return described if tracked and described else "unknown"


def _git(folder, *arguments):
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
