"""The small extensions of Sphinx in ``docs/_ext``."""

import importlib
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def extension(monkeypatch):
    """Return what imports an extension, as Sphinx does."""
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    return importlib.import_module


def found(name):
    """Import a name of another project, the longest module first."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise ImportError(name)


def test_every_name_that_may_be_linked_exists(extension):
    inventories = extension("inventories")
    entries = [line.split() for line in inventories.NAMES.read_text().splitlines()]
    assert entries
    for project, role, name, *_ in entries:
        assert project in inventories.PROJECTS
        if project != "python" and role.startswith("py:"):
            assert found(name) is not None


def test_an_inventory_is_one_that_sphinx_reads(extension):
    inventory_file = pytest.importorskip("sphinx.util.inventory").InventoryFile
    inventories = extension("inventories")
    entries = [("py:class", "pandas.Index"), ("std:term", "array", "a.html#array")]
    content = inventories.inventory("some", entries, "api/$.html#$")
    read = inventory_file.loads(content, uri="https://some.example")
    assert read["py:class", "pandas.Index"].uri == (
        "https://some.example/api/pandas.Index.html#pandas.Index"
    )
    assert read["std:term", "array"].uri == "https://some.example/a.html#array"


def test_formulas_of_the_pages_become_mathml_and_keep_their_source(extension):
    pytest.importorskip("latex2mathml")
    mathml = extension("mathml").mathml
    sources = re.findall(r":math:`([^`]+)`", (DOCS / "paper.rst").read_text())
    assert len(sources) > 20
    for tex in sources:
        converted = mathml(tex, "inline")
        assert "<merror" not in converted
        # An unknown command would be shown with its backslash.
        assert "\\" not in re.sub(r'alttext="[^"]*"', "", converted)
    assert 'alttext="a &lt; b"' in mathml("a < b", "block")


def test_the_order_names_every_example_of_the_gallery():
    source = (DOCS / "_ext" / "gallery_links.py").read_text()
    names = {path.name for path in (DOCS.parent / "examples/gallery").rglob("*.py")}
    assert names == set(re.findall(r'"(\w+\.py)"', source))
