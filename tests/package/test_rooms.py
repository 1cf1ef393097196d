"""Which room of the package may import which, and where torch may be imported."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "skl_locus"

COMMON = {"_utils", "exceptions"}
"""Rooms that every other room may import."""

MAY_IMPORT = {
    "exceptions": set(),
    "_utils": set(),
    "_data": set(),
    "_costs": {"_data"},
    "_networks": {"_data"},
    "_torch": {"_networks", "_data"},
    "model_selection": {"_data"},
    "datasets": {"_data"},
    "_routing": {"_costs", "_data"},
    "portfolio": {"_costs", "_data"},
    "metrics": {"_routing", "_costs", "_data"},
    "_estimation": {"metrics", "_data"},
    "_evidence": {"_estimation", "_data"},
    "_policy": {"_routing", "_costs", "_data"},
    "inspection": {
        "metrics",
        "model_selection",
        "portfolio",
        "_routing",
        "_costs",
        "_data",
    },
    "baselines": {
        "_estimation",
        "_routing",
        "_networks",
        "_torch",
        "_costs",
        "_data",
    },
    "adaptive": {"inspection", "_estimation", "_routing", "_data"},
    "_locus": {
        "_evidence",
        "_estimation",
        "_routing",
        "_networks",
        "_torch",
        "_data",
    },
    "_persistence": {"_routing", "_data"},
    # Commands use what users can import, too.
    "_cli": {
        "datasets",
        "inspection",
        "integrations",
        "metrics",
        "model_selection",
    },
    "__main__": {"_cli"},
    "batches": {"_routing", "_costs", "_data"},
    "integrations": {"_persistence", "_policy", "_routing", "_costs", "_data"},
    # The package itself names its public parts and runs nothing.
    "__init__": {
        "_costs",
        "_data",
        "_locus",
        "_persistence",
        "_policy",
        "baselines",
        "portfolio",
    },
}
"""Rooms that each room may import, `COMMON` apart."""

RESERVED: set[str] = set()
"""Names of rooms to come; nothing else may take them."""

MAX_TOP_LEVEL = 25

FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in FILES]


def room_of(path):
    """Return the room that a file lies in: a folder, or a module of the top level."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_modules(path):
    """Return the full names that a file imports, wherever the imports stand."""
    package = ("skl_locus", *path.relative_to(PACKAGE).parent.parts)
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            names += [f"{module}.{alias.name}" for alias in node.names]
    return names


def imported_rooms(path):
    """Return the rooms of the package that a file imports, its own left out."""
    parts = [name.split(".") for name in imported_modules(path)]
    rooms = {p[1] for p in parts if p[0] == "skl_locus" and len(p) > 1}
    return {room for room in rooms if room in MAY_IMPORT} - {room_of(path)}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_room_imports_only_the_rooms_that_it_may(path):
    allowed = COMMON | MAY_IMPORT[room_of(path)]
    assert imported_rooms(path) <= allowed


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_torch_stays_in_its_room(path):
    torch = [name for name in imported_modules(path) if name.split(".")[0] == "torch"]
    assert not torch or room_of(path) == "_torch"


def test_the_table_names_the_rooms_that_there_are():
    rooms = {room_of(path) for path in FILES}
    assert rooms == set(MAY_IMPORT)
    assert not rooms & RESERVED
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert len(entries | RESERVED) <= MAX_TOP_LEVEL


def test_no_two_rooms_import_each_other():
    for room, others in MAY_IMPORT.items():
        for other in others | COMMON:
            assert room not in MAY_IMPORT[other]


def test_imports_are_found_wherever_they_stand(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    file = tmp_path / "_data" / "reader.py"
    file.parent.mkdir()
    file.write_text(
        "import torch.nn\n"
        "def late():\n"
        "    from skl_locus import _policy\n"
        "    from skl_locus.metrics import compare\n"
        "    from .._costs import tables\n"
    )
    assert imported_rooms(file) == {"_policy", "metrics", "_costs"}
    assert "torch.nn" in imported_modules(file)


PAGE = PACKAGE.parent / "docs" / "developing.rst"
"""The page for developers, which shows the table of rooms to people."""


def rows_of_table(title):
    """Return the cells of each row of a table of the page, its header left out."""
    _, table = PAGE.read_text().split(f".. list-table:: {title}\n")
    # The table ends where the first line starts that is not indented.
    table = re.split(r"\n(?=\S)", table)[0]
    rows = table.split("\n   * - ")[2:]
    return [re.split(r"\n     - ", row) for row in rows]


def code_in(cell):
    return re.findall(r"``(.+?)``", cell)


def test_the_page_for_developers_shows_this_table():
    rows = rows_of_table("Rooms of skl_locus")
    shown = {code_in(room)[0]: set(code_in(others)) for room, _, others in rows}
    assert shown == MAY_IMPORT
    assert len(rows) == len(MAY_IMPORT)


def test_the_page_for_developers_names_files_that_there_are():
    for change, files in rows_of_table("Files to open first"):
        names = code_in(files)
        assert 1 <= len(names) <= 2, change
        for name in names:
            room = name.split("/")[0]
            assert room in MAY_IMPORT.keys() | RESERVED
            is_new = f"new ``{name}``" in files
            assert (PACKAGE / name).exists() != is_new, name
