"""The tables of results of the README and of the page "Which router when"."""

import importlib
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(REPOSITORY / "examples" / "experiments"))
front_table = importlib.import_module("front_table")
which_router = importlib.import_module("which_router")


@pytest.mark.parametrize("page", ["README.md"])
def test_the_table_is_what_the_command_prints(page, capsys):
    front_table.main([])
    printed = capsys.readouterr().out.strip()
    assert printed in (REPOSITORY / page).read_text()


def test_the_oracle_is_above_all_routers():
    rows = front_table.front_table()
    for name in ("best single", "LOCUS"):
        assert (rows["oracle"].astype(float) >= rows[name].astype(float)).all()


def test_which_router_shows_what_its_command_writes():
    written = which_router.RESULTS / "which_router.csv"
    table = which_router.which_router_table()
    assert written.read_text() == table.to_csv(index=False)
    page = (REPOSITORY / "docs" / "which_router.rst").read_text()
    assert ":file: results/which_router.csv" in page
