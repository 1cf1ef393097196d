"""Saving estimators in files without code, and loading them again."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from skl_locus._data.query_encoder import QueryEncoder
from skl_locus._data.sentence_models import MissingModel, is_folder
from skl_locus._persistence.contents import describe_estimator
from skl_locus._persistence.file_format import SavedFile, write_parts
from skl_locus._persistence.objects import (
    UntrustedError,
    dump_objects,
    foreign_names,
    load_objects,
)
from skl_locus._persistence.plain import Packer, unpack
from skl_locus._utils.estimators import StoredWithoutFit
from skl_locus._utils.files import new_file
from skl_locus.exceptions import SavedFileError


def save(estimator: Any, path: str | os.PathLike, *, evaluations: bool = True) -> None:
    """Save an estimator in a file that holds no code.

    The file appears in one step: a process that is killed, or a disk that is full,
    leaves the file that was there before, and a server that has mapped the old file
    keeps it. See :doc:`/saving` for what is inside.

    Parameters
    ----------
    estimator : estimator or AdaptiveEvaluation
        An estimator of this package, or a pipeline with one, fitted or not; or an
        evaluation between two asks.
    path : str or path-like
        The file. The folder must exist.
    evaluations : bool, default=True
        Whether the evaluations that a router was fitted on are saved, and the vectors
        of the texts that its encoder knows. A router without them predicts the same,
        but its models cannot be added, refined or removed. An AdaptiveEvaluation is
        always saved with them.

    Raises
    ------
    TypeError
        If the estimator holds something that cannot be saved without code.
    ValueError
        If an AdaptiveEvaluation is to be saved without evaluations.
    OSError
        If the file cannot be written; nothing has changed then.

    See Also
    --------
    load : Load the estimator.
    describe : Read what is inside.

    Examples
    --------
    >>> import os, tempfile
    >>> import skl_locus
    >>> from skl_locus.datasets import make_evaluations
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = skl_locus.KMeansRouter(random_state=0).fit(log, log["score"])
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "router.locus")
    >>> skl_locus.save(router, path)
    >>> skl_locus.load(path).models_.tolist() == router.models_.tolist()
    True
    >>> folder.cleanup()
    """
    if isinstance(estimator, StoredWithoutFit):
        # It goes on from the evaluations of the known models. Whoever leaves them out
        # has a reason, and must not find them in the file.
        if not evaluations:
            raise ValueError(
                f"An {type(estimator).__name__} needs the evaluations of the known "
                "models; save it with evaluations=True."
            )
    elif not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"save takes an estimator, got {type(estimator).__name__}; arrays and "
            "tables have formats of their own."
        )
    # The header and the objects are of one state, although another thread may replace
    # the pool of models in between.
    estimator = copy.copy(estimator)
    packer = Packer(evaluations=evaluations)
    packed = packer.pack(estimator)
    try:
        objects = dump_objects(packed)
    except (TypeError, RecursionError) as error:
        raise TypeError(
            f"This {type(estimator).__name__} holds something that cannot be saved "
            f"without code ({error}); leave it out, or use joblib."
        ) from error
    header = describe_estimator(estimator, packer.encoders, evaluations=evaluations)
    header["foreign_types"] = foreign_names(objects)
    path = Path(path)
    try:
        with new_file(path) as file:
            write_parts(file, header, objects, packer.arrays)
    except OSError as error:
        problem = f"{error.strerror or error}; nothing was saved, nothing has changed"
        raise OSError(error.errno, problem, str(path)) from error


def load(
    path: str | os.PathLike,
    encoder: Any = None,
    mmap: bool = False,
    *,
    trusted: Collection[str] = (),
    verify: bool | None = None,
) -> Any:
    """Load an estimator from a file of `save`, without running anything in it.

    Parameters
    ----------
    path : str or path-like
        The file.
    encoder : str, path, SentenceTransformer or QueryEncoder, default=None
        The text model of an estimator with a sentence-transformers encoder. It is
        checked: its vectors must have the length of those of the fit, and be the same
        on a few texts that were encoded when the file was saved. A model that was
        given by name is loaded by itself when it is needed.
    mmap : bool, default=False
        Whether to map the arrays instead of reading them. Processes on one machine
        share the memory of a mapped file, and it is loaded at once. It must only be
        replaced as `save` does it, never written to.
    trusted : collection of str, default=()
        Full names of classes and functions of other packages that may be in the file,
        such as "my_package.MyTransformer"; `describe` lists them as "foreign_types".
        Name only what you know: they are called.
    verify : bool, default=None
        Whether to compare the checksums of the arrays. None means True, and False with
        ``mmap=True``, where it would read the whole file. All other checksums, and the
        sizes, are always compared.

    Returns
    -------
    estimator
        The estimator.

    Raises
    ------
    SavedFileError
        If the file is not from `save`, is damaged, comes from a newer version, or has
        classes that are not trusted.
    ValueError
        If ``encoder`` is another model than that of the fit.

    See Also
    --------
    save : Save an estimator.
    describe : Read what is inside.
    """
    if isinstance(trusted, str):
        raise ValueError(f"trusted must be a collection of names; pass [{trusted!r}].")
    with SavedFile(path) as file:
        check = not mmap if verify is None else verify
        archive = file.read_objects()
        read = file.map_arrays if mmap else file.read_arrays
        estimator, parts = _rebuilt(file, archive, read(verify=check), trusted)
    _drop_folders(parts)
    if encoder is not None:
        _give_back(parts, encoder)
    return estimator


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """Read what is in a file of `save`, without loading it.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict
        "estimator": name of the class; "saved": time in UTC; "format"; "versions" of
        the libraries; "pool" (of routers): models, n_features, numbers of evaluations
        and queries; "held_out": figures on held-out queries; "encoders": model, length
        and fingerprint of each fitted text encoder; "foreign_types": names that `load`
        needs as ``trusted``; "bytes": size of the file.

    Raises
    ------
    SavedFileError
        If the file is not from `save`, or its header is damaged.

    Examples
    --------
    >>> import os, tempfile
    >>> import skl_locus
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "router.locus")
    >>> skl_locus.save(skl_locus.KNNRouter(n_neighbors=10), path)
    >>> skl_locus.describe(path)["estimator"]
    'KNNRouter'
    >>> folder.cleanup()
    """
    with SavedFile(path) as file:
        return {"format": file.version, "bytes": file.size, **file.contents}


def _rebuilt(
    file: SavedFile, archive: bytes, arrays: list, trusted: Collection[str]
) -> tuple[Any, list]:
    try:
        return unpack(load_objects(archive, trusted), arrays)
    except UntrustedError as error:
        names = ", ".join(error.names)
        raise SavedFileError(
            f"the file has types that are not trusted: {names}. If you know them and "
            f"where the file comes from, pass trusted={error.names}",
            file.path,
        ) from error
    except Exception as error:
        # The checksums are right, so it is what was saved, by whoever saved it; made
        # of other classes than those of this version, anything can be raised.
        versions = file.contents.get("versions")
        known = versions if isinstance(versions, dict) else {}
        written = known.get("skl-locus", "unknown")
        raise SavedFileError(
            f"the objects in the file cannot be made ({type(error).__name__}: "
            f"{error}); it was saved by skl-locus {written}: load it with that version",
            file.path,
        ) from error


def _drop_folders(parts: list) -> None:
    """Forget the folders in the parameters of loaded estimators.

    A folder of a sentence-transformers model can hold code, which runs when the model
    is loaded, and one in which a pipeline remembers fits has pickles. A file may come
    from a stranger, who must not choose a folder.
    """
    for part in parts:
        # Not by getattr, with which a frozen estimator answers for the one inside.
        encoder = vars(part).get("encoder")
        if isinstance(encoder, str) and is_folder(encoder):
            part.encoder = MissingModel(Path(encoder).name)
        if isinstance(vars(part).get("memory"), str):
            part.memory = None


def _give_back(parts: list, encoder: Any) -> None:
    """Give a text model back to all parts of an estimator that are without it."""
    encoders = [part for part in parts if isinstance(part, QueryEncoder)]
    fitted = [part for part in encoders if vars(part).get("encoder_", 0) is None]
    unfitted = [p for p in parts if isinstance(vars(p).get("encoder"), MissingModel)]
    if not fitted and not unfitted:
        raise ValueError(
            "There is no text model to give back: encoder= is for estimators whose "
            "encoder is a sentence-transformers model."
        )
    for part in fitted:
        part._take_back(encoder)
    for part in unfitted:
        model = encoder.encoder if isinstance(encoder, QueryEncoder) else encoder
        part.encoder = model if isinstance(part, QueryEncoder) else encoder
