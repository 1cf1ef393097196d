"""Plain objects to bytes and back, by skops, with a list of what may be inside.

skops stores objects as a tree of nodes in JSON. A node names a class, and its loader:
the way in which skops makes the object. skops refuses classes that nobody trusts; here,
each loader is also bound to the classes that it is meant for, so that no trusted class
is called in a way that nobody thought of, such as an estimator as the type of a list.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from typing import Any

from skl_locus._persistence.registry import PACKAGE, find_class

SCHEMA = "schema.json"
"""Name of the tree of nodes in an archive of skops."""

LOADERS: dict[str, tuple[str, ...]] = {
    "BytearrayNode": ("builtins.bytearray",),
    "BytesNode": ("builtins.bytes",),
    # Plain values that are made by one call with plain arguments.
    "ConstructorFromReduceNode": (
        "builtins.frozenset",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "decimal.Decimal",
    ),
    "DTypeNode": ("numpy.dtype",),
    "DictNode": ("builtins.dict", "collections.OrderedDict"),
    "FunctionNode": ("numpy.", "scipy.special."),
    "JsonNode": ("builtins.",),
    "ListNode": ("builtins.list",),
    "MaskedArrayNode": ("numpy.ma.",),
    "NdArrayNode": ("numpy.",),
    "ObjectNode": ("sklearn.",),
    "RandomGeneratorNode": ("numpy.random.",),
    "RandomStateNode": ("numpy.random.",),
    "SetNode": ("builtins.set",),
    "SliceNode": ("builtins.slice",),
    "SparseMatrixNode": ("scipy.sparse.",),
    "TupleNode": ("builtins.tuple",),
    "TypeNode": (
        "builtins.bool",
        "builtins.float",
        "builtins.int",
        "builtins.str",
        "numpy.",
    ),
}
"""Classes of each loader, or modules where a name ends in a dot: of these, skops trusts
numpy's and scipy's number types and ufuncs and scikit-learn's estimators. Loaders of
methods, partial functions and operators are not here; what they would make is named by
the caller (``trusted=``), or refused."""


PLAIN = {name for meant in LOADERS.values() for name in meant if name[-1] != "."}
"""Classes that need no trust where their loader is the one that is meant for them."""


ARRAY_LIBRARIES = tuple(
    f"sklearn.externals.array_api_compat.{name}" for name in ("torch", "cupy", "dask")
)
"""Packages of scikit-learn that import libraries which are not needed here."""

_importing = Lock()


class UntrustedError(TypeError):
    """Error about classes and functions in a file that nobody trusts.

    Parameters
    ----------
    names : collection of str
        Their full names.
    """

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(sorted(names))
        self.names = sorted(names)


def dump_objects(value: Any) -> bytes:
    """Return plain objects as an archive of skops."""
    archive = _skops_io().dumps(value)
    # Written without indents, the tree takes a third of the space.
    return _with_schema(archive, _read_schema(archive))


def load_objects(archive: bytes, trusted: Collection[str]) -> Any:
    """Make the objects of an archive of skops, if all of its classes are trusted.

    Parameters
    ----------
    archive : bytes
        What `dump_objects` has returned.
    trusted : collection of str
        Full names of other classes and functions that may be in it.

    Returns
    -------
    object
        The objects.

    Raises
    ------
    UntrustedError
        If anything else is in it; nothing has been made then.
    """
    skops_io = _skops_io()
    from skops.io.exceptions import UntrustedTypesFoundException

    nodes = _read_schema(archive)
    own = _rename_own_classes(nodes)
    refused = _untrusted(nodes, own, trusted)
    if refused:
        raise UntrustedError(refused)
    archive = _with_schema(archive, nodes)
    known = {*own, *PLAIN, *trusted}
    unknown = set(skops_io.get_untrusted_types(data=archive)) - known
    if unknown:
        raise UntrustedError(unknown)
    try:
        return skops_io.loads(archive, trusted=sorted(known))
    except UntrustedTypesFoundException as error:  # skops has the last word
        raise UntrustedError([str(error)]) from error


def foreign_names(archive: bytes) -> list[str]:
    """Return the names in an archive that `load_objects` needs as ``trusted``."""
    nodes = _read_schema(archive)
    own = _rename_own_classes(nodes)
    by_skops = set(_skops_io().get_untrusted_types(data=archive)) - own - PLAIN
    return sorted(by_skops | _untrusted(nodes, own, ()))


def _skops_io() -> Any:
    """Import skops, which takes longer than the rest of this package.

    It lists all estimators of scikit-learn, for which scikit-learn imports all of its
    packages. Those of array_api_compat import torch and other libraries of arrays, and
    there are no estimators in them.
    """
    if "skops.io" not in sys.modules:
        with _importing, _left_out(ARRAY_LIBRARIES):
            import_module("skops.io")
    return sys.modules["skops.io"]


@contextmanager
def _left_out(modules: Collection[str]) -> Iterator[None]:
    """Let imports of modules fail that are not imported yet."""
    left_out = [name for name in modules if name not in sys.modules]
    # With None in its place, a module is not found, and scikit-learn goes on without.
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in left_out:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


def _read_schema(archive: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        # Stored as they are, members cannot be larger than the file.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in file.infolist()):
            raise ValueError("a compressed member")
        return json.loads(file.read(SCHEMA))


def _with_schema(archive: bytes, nodes: dict[str, Any]) -> bytes:
    """Return an archive with another tree of nodes: the one that was checked."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for name in sorted(set(old.namelist()) - {SCHEMA}):
            new.writestr(name, old.read(name))
        new.writestr(SCHEMA, json.dumps(nodes, separators=(",", ":")))
    return buffer.getvalue()


def _rename_own_classes(nodes: dict[str, Any]) -> set[str]:
    """Replace names of this package by where the classes are now; return all these."""
    own = set()
    for node in _walk(nodes):
        module, name = node.get("__module__"), node.get("__class__")
        if not isinstance(module, str) or not isinstance(name, str):
            continue
        if module.partition(".")[0] != PACKAGE or node["__loader__"] != "ObjectNode":
            continue
        cls = find_class(module, name)
        if cls is not None:
            node["__module__"], node["__class__"] = cls.__module__, cls.__name__
            own.add(f"{cls.__module__}.{cls.__name__}")
    return own


def _untrusted(
    nodes: dict[str, Any], own: set[str], trusted: Collection[str]
) -> set[str]:
    """Return the names in nodes whose loader is not meant for them."""
    return {
        name
        for node in _walk(nodes)
        if (name := _name_of(node)) not in trusted and not _is_meant(node, name, own)
    }


def _is_meant(node: dict[str, Any], name: str, own: set[str]) -> bool:
    loader = node["__loader__"]
    if loader == "ObjectNode" and name in own:
        return True
    meant = LOADERS.get(loader, ()) if isinstance(loader, str) else ()
    return any(
        name == one or (one.endswith(".") and name.startswith(one)) for one in meant
    )


def _name_of(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every node, wherever it is: whatever has a loader."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            left += value.values()
        elif isinstance(value, list):
            left += value
