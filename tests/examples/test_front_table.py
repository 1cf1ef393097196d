"""The table of results of the README, and the file that the browser test relies on."""

import importlib
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Scripts import their neighbours by name, as they do when they are run.
sys.path.insert(0, str(REPOSITORY / "examples" / "experiments"))
front_table = importlib.import_module("front_table")


@pytest.mark.parametrize("page", ["README.md"])
def test_the_table_is_what_the_command_prints(page, capsys):
    front_table.main([])
    printed = capsys.readouterr().out.strip()
    assert printed in (REPOSITORY / page).read_text()


def test_the_oracle_is_above_all_routers():
    rows = front_table.front_table()
    for name in ("best single", "LOCUS"):
        assert (rows["oracle"].astype(float) >= rows[name].astype(float)).all()
