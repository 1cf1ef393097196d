"""Which modules of the package a source file runs, found by reading its imports."""

import ast
from functools import lru_cache
from pathlib import Path

import skl_locus

PACKAGE = Path(skl_locus.__file__).parent
DOORS = {PACKAGE / "__init__.py"}
"""Names the package's public parts and so imports them all; nothing runs in it."""


def modules_used_by(paths):
    """Return source files and all modules of the package that they import.

    Parameters
    ----------
    paths : list of Path
        Where to start.

    Returns
    -------
    set of Path
        The files, and what they, and those, import, wherever the import stands.
    """
    found, new = set(), set(paths)
    while new:
        found |= new
        new = {module for path in new for module in _imported(path)} - found
    return found


@lru_cache
def _imported(path):
    """List the modules of the package that a file imports itself."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    files = {_file_of(name) for name in names}
    return frozenset(files - DOORS - {None})


def _file_of(name):
    """Return the file of a module of the package, None for any other name."""
    if name.split(".")[0] != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*name.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.exists()), None)
