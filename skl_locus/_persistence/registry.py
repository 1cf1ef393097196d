"""Classes that a saved file may name: what is saved and what it is made of."""

from __future__ import annotations

import pkgutil
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from skl_locus._utils.estimators import StoredWithoutFit

PACKAGE = __name__.partition(".")[0]

ROOMS = (
    "_costs",
    "_data",
    "_estimation",
    "_evidence",
    "_locus",
    "_networks",
    "_persistence",
    "_policy",
    "_routing",
    "adaptive",
    "baselines",
    "portfolio",
)
"""Rooms whose estimators, dataclasses and the like are stored. None of these classes
runs anything when it is made and given its attributes."""

RENAMED: dict[str, str] = {}
"""New names of classes by old ones, for files of earlier versions. A class that has
only moved to another module is found by its name."""


def is_stored_class(cls: type) -> bool:
    """Return whether objects of a class are stored: those of these rooms alone."""
    package, _, rest = cls.__module__.partition(".")
    if package != PACKAGE or rest.partition(".")[0] not in ROOMS:
        return False
    return is_dataclass(cls) or issubclass(cls, (BaseEstimator, StoredWithoutFit))


def find_class(module: str, name: str) -> type | None:
    """Return the class that a file names, None if there is none.

    Parameters
    ----------
    module : str
        Module of the class when the file was written.
    name : str
        Name of the class.

    Returns
    -------
    type or None
        The class, wherever it is now.
    """
    name = RENAMED.get(name, name)
    # Only names of modules that are here are imported, whatever a file says.
    if module in _module_names():
        cls = _classes_of(module).get(name)
        if cls is not None:
            return cls
    return stored_classes().get(name)


@cache
def stored_classes() -> dict[str, type]:
    """Return all classes that may be stored by name; this imports their modules."""
    found: dict[str, type] = {}
    for module in _module_names():
        for name, cls in _classes_of(module).items():
            if name in found:
                raise TypeError(
                    f"Two classes have the name {name!r}, in {found[name].__module__} "
                    f"and in {module}; files name classes, so rename one."
                )
            found[name] = cls
    return found


@cache
def _module_names() -> tuple[str, ...]:
    folder = Path(__file__).parents[1]
    return tuple(
        f"{PACKAGE}.{room}.{module.name}"
        for room in ROOMS
        for module in pkgutil.iter_modules([str(folder / room)])
    )


def _classes_of(module: str) -> dict[str, type]:
    """Return the classes that are defined in a module, by name."""
    values: dict[str, Any] = vars(import_module(module))
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, type)
        and value.__module__ == module
        and is_stored_class(value)
    }
