"""What runs where not everything is installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WITHOUT = """
import sys
sys.modules["polars"] = None
import pytest
raise SystemExit(pytest.main({arguments!r}))
"""


def test_the_package_is_imported_from_a_tree_that_is_not_installed(tmp_path):
    (tmp_path / "skl_locus").symlink_to(ROOT / "skl_locus")
    code = (
        "import importlib.metadata as m, sys\n"
        "def nothing(name): raise m.PackageNotFoundError(name)\n"
        "m.version = nothing\n"
        "import skl_locus; print(skl_locus.__version__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "0+unknown"


def test_modules_skip_without_the_extras_that_they_need():
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider"]
    arguments += ["tests/routing/test_router_logs.py", "docs/table.rst"]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(arguments=arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error" not in run.stdout
    assert "polars is missing" in run.stdout
