"""Links to other projects, without their inventories.

CI has no network, where fetching an inventory would be a warning, which is an error
there. The few names that these pages use follow the rules by which the other projects
name their pages, so inventories of these names are written here.
"""

import zlib
from pathlib import Path

NAMES = Path(__file__).with_name("inventories.txt")
"""Lines of project, domain and role, name, and the page where no rule gives it."""

PROJECTS = {
    "sklearn": ("https://scikit-learn.org/stable/", "modules/generated/$.html#$"),
    "numpy": ("https://numpy.org/doc/stable/", "reference/generated/$.html#$"),
    "pandas": ("https://pandas.pydata.org/docs/", "reference/api/$.html#$"),
    "python": ("https://docs.python.org/3/", "library/stdtypes.html#$"),
}
"""Address of each project, and the page of a name in it (``$`` is the name)."""


def setup(app):
    """Write the inventories before intersphinx reads them."""
    app.connect("config-inited", add_inventories, priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_inventories(app, config):
    """Enter one inventory for each project."""
    folder = Path(app.doctreedir) / "inventories"
    folder.mkdir(parents=True, exist_ok=True)
    entries = [line.split() for line in NAMES.read_text().splitlines() if line]
    for project, (address, rule) in PROJECTS.items():
        path = folder / f"{project}.inv"
        own = [entry[1:] for entry in entries if entry[0] == project]
        path.write_bytes(inventory(project, own, rule))
        config.intersphinx_mapping[project] = (address, (str(path),))


def inventory(project, entries, rule):
    """Return an inventory in Sphinx's format, version 2."""
    head = (
        "# Sphinx inventory version 2\n"
        f"# Project: {project}\n"
        "# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    # Sphinx itself puts the name in the place of the last "$" alone.
    lines = [
        f"{name} {role} 1 {(page or [rule.replace('$', name)])[0]} -\n"
        for role, name, *page in entries
    ]
    return head.encode() + zlib.compress("".join(lines).encode())
