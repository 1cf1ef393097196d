"""Where sentence-transformers models come from, and what stands for a lost one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from skl_locus._utils.progress import Bar, NoBar, progress_bar, progress_is_shown

BACKENDS = {
    "torch": ("torch",),
    "onnx": ("optimum", "onnxruntime"),
    "openvino": ("optimum", "openvino"),
}
"""Packages that each backend of sentence-transformers needs."""

MODEL_OPTIONS = frozenset(
    {
        *("attn_implementation", "dtype", "export", "file_name"),
        *("provider", "subfolder", "torch_dtype"),
    }
)
"""Options of models that a saved encoder may name. Others, such as permission to run
the code of a repository, are for whoever loads the model by hand."""

PROBES = (
    "What is 7 * 8?",
    "Write a function that sorts a list of words by their length.",
    "Who was the first person to cross Antarctica on foot?",
)
"""Texts whose vectors are saved with an encoder, so that its model is known again."""

LEAST_COSINE = 0.98
"""Least cosine between two vectors of one text by the same model: other hardware and
lower precision stay above, other models of the same length are far below."""

RETRY_SECONDS = 60.0
"""Time for which a model that could not be loaded is not tried again."""

HUB_SECONDS = 10.0
"""Longest wait for an answer of the hub."""


@dataclass(frozen=True)
class MissingModel:
    """Stands in a loaded encoder for a model that is not in the file.

    Parameters
    ----------
    name : str
        What it was called.
    """

    name: str

    def message(self) -> str:
        """Return what an error says about it."""
        return (
            f"This QueryEncoder was loaded without its sentence-transformers model "
            f"({self.name}) and knows only the vectors of the texts it was fitted on. "
            "To encode other texts, give the model back: set_params(encoder=...) on "
            "the QueryEncoder or the router, or skl_locus.load(path, encoder=...)."
        )


def is_sentence_model(encoder: Any) -> bool:
    """Return whether an encoder is a sentence-transformers model.

    Parameters
    ----------
    encoder : object
        The parameter ``encoder`` of a QueryEncoder.

    Returns
    -------
    bool
        False for a scikit-learn transformer.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(encoder, (str, Path, MissingModel)):
        return True
    if not isinstance(encoder, type):
        if hasattr(encoder, "fit") and hasattr(encoder, "transform"):
            return False
        if hasattr(encoder, "encode"):
            return True
    raise TypeError(
        "encoder must be the name or folder of a sentence-transformers model, a "
        "loaded SentenceTransformer or a scikit-learn text transformer (an instance), "
        f"got {encoder!r:.80}."
    )


def check_same_model(
    vectors: np.ndarray, n_features: int, expected: np.ndarray | None
) -> None:
    """Raise if a model is not the one that an encoder was fitted with.

    Parameters
    ----------
    vectors : ndarray of shape (n_probes, n_features)
        Vectors of `PROBES` by the model.
    n_features : int
        Length of the vectors of the fit.
    expected : ndarray of shape (n_probes, n_features) or None
        Vectors of `PROBES` by the model of the fit, where they are known.
    """
    if vectors.shape[1] != n_features:
        raise ValueError(
            f"The model encodes with length {vectors.shape[1]}, but the encoder was "
            f"fitted with length {n_features}; give back the model of the fit."
        )
    if expected is None:
        return
    cosine = _cosines(vectors, expected).min()
    if not cosine >= LEAST_COSINE:
        raise ValueError(
            "The model gives known texts other vectors than the one that the encoder "
            f"was fitted with (cosine {cosine:.2f}); give back the model of the fit."
        )


def _cosines(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(A, axis=1) * np.linalg.norm(B, axis=1)
    return (A * B).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)


def is_loaded_model(encoder: Any) -> bool:
    """Return whether an encoder is a sentence-transformers model in memory."""
    return hasattr(encoder, "encode") and not isinstance(encoder, str)


def is_folder(encoder: Any) -> bool:
    """Return whether an encoder is a folder, not the name of a model on the hub."""
    if isinstance(encoder, Path):
        return True
    return isinstance(encoder, str) and (
        Path(encoder).is_dir() or Path(encoder).is_absolute() or encoder[:1] in ".~"
    )


@dataclass(frozen=True)
class ModelSource:
    """Where a sentence-transformers model comes from, and where it goes.

    Parameters
    ----------
    name : str
        Name or folder.
    device : str
        "auto" or a torch device.
    revision : str or None
        Branch, tag or commit of a model on the hub.
    backend : str
        One of `BACKENDS`.
    model_kwargs : tuple of pairs of str and value
        Options of the model.
    """

    name: str
    device: str = "auto"
    revision: str | None = None
    backend: str = "torch"
    model_kwargs: tuple[tuple[str, Any], ...] = ()


def check_model_kwargs(
    model_kwargs: Mapping[str, Any] | None,
) -> tuple[tuple[str, Any], ...]:
    """Return options of a model, sorted by name, if a stored encoder may have them.

    Parameters
    ----------
    model_kwargs : mapping or None
        The parameter ``model_kwargs``.

    Returns
    -------
    tuple of pairs of str and value
        Names and values.

    Raises
    ------
    ValueError
        If an option or its value is none of those that may be stored.
    """
    options = dict(model_kwargs or {})
    for name, value in options.items():
        if name not in MODEL_OPTIONS:
            raise ValueError(
                f"model_kwargs has {name!r}; QueryEncoder passes on "
                f"{', '.join(sorted(MODEL_OPTIONS))}. For other options, load a "
                "SentenceTransformer with them and give that as encoder=."
            )
        if not isinstance(value, (str, bool, int, float)):
            raise ValueError(
                f"model_kwargs[{name!r}] must be a text, a number or a bool, got "
                f"{value!r:.60}."
            )
    return tuple(sorted(options.items()))


def load_sentence_model(source: ModelSource) -> Any:
    """Load a sentence-transformers model from a folder, the local cache or the hub.

    Parameters
    ----------
    source : ModelSource
        Name, device and revision.

    Returns
    -------
    SentenceTransformer
        The model.

    Raises
    ------
    OSError
        If it cannot be loaded; the message says what to do. For a while afterwards the
        same error is raised at once, so that a service does not wait in each request.
    """
    _check_installed(source.backend)
    failed_at, reason = _failures.get(source, (-math.inf, ""))
    if time.monotonic() - failed_at < RETRY_SECONDS:
        raise OSError(_advice(source, reason))
    try:
        # sentence-transformers is imported here, which takes seconds by itself.
        is_wanted = progress_is_shown()
        with progress_bar(f"load {source.name}", 1, unit="model") as bar:
            model = _load(source, is_wanted)
            bar.advance()
    except Exception as error:
        reason = type(error).__name__
        _failures[source] = (time.monotonic(), reason)
        raise OSError(_advice(source, reason)) from error
    _failures.pop(source, None)
    return model


def encode_texts(model: Any, texts: list[str], batch_size: int) -> Any:
    """Encode texts by a sentence-transformers model, or what stands in for one.

    Parameters
    ----------
    model : SentenceTransformer
        The model.
    texts : list of str, or of PIL images
        Texts, or images for a model that takes them.
    batch_size : int
        Texts per forward pass.

    Returns
    -------
    array of shape (n_texts, n_features)
        One vector per text.
    """
    texts = _marked_as_texts(model, texts)
    n_batches = math.ceil(len(texts) / batch_size)
    with (
        progress_bar("encode", n_batches, unit="batch") as bar,
        _counted_passes(model, bar, n_batches),
    ):
        # Its own bar would be there at once, also for single requests.
        return model.encode(
            texts,
            batch_size=batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
        )


def _marked_as_texts(model: Any, texts: list) -> list:
    """Return texts in a form that models of images, too, take for nothing else.

    Since version 5.4 of sentence-transformers, such models open a string that is the
    address or the path of an image, so that a query could make a service fetch whatever
    its author names, and would be answered by the image.
    """
    if not set(getattr(model, "modalities", ())) - {"text"}:
        return texts
    return [{"text": text} if isinstance(text, str) else text for text in texts]


@contextmanager
def _counted_passes(model: Any, bar: NoBar, n_passes: int) -> Iterator[None]:
    """Advance a bar at each forward pass, or once for all of what is no network."""
    modules = list(model.children()) if hasattr(model, "children") else []
    if not modules or not isinstance(bar, Bar):
        yield
        bar.advance(n_passes)
        return
    # The model itself is called by its method `forward`, which runs no hooks.
    hook = modules[0].register_forward_hook(lambda *_: bar.advance())
    try:
        yield
    finally:
        hook.remove()


_failures: dict[ModelSource, tuple[float, str]] = {}
"""When, by the monotonic clock, and why models could not be loaded."""


def _check_installed(backend: str) -> None:
    missing = [name for name in BACKENDS[backend] if find_spec(name) is None]
    if missing:
        extra = (
            "pip install 'skl-locus[onnx]'"
            if backend == "onnx"
            else f"pip install 'sentence-transformers[{backend}]'"
        )
        raise ImportError(
            f"backend={backend!r} needs {' and '.join(missing)}, not installed here: "
            f"{extra}."
        )


def _load(source: ModelSource, progress_is_wanted: bool) -> Any:
    from sentence_transformers import SentenceTransformer

    options: dict[str, Any] = {
        "device": None if source.device == "auto" else source.device,
        "revision": source.revision,
    }
    # Versions before 3.2 have torch alone, and no such parameters.
    if source.backend != "torch":
        options["backend"] = source.backend
    if source.model_kwargs:
        options["model_kwargs"] = dict(source.model_kwargs)
    try:
        # A model that is here needs no network, and no wait for one. Its weights are
        # read in a second: only downloads have bars of their own, one for each file.
        with _progress_bars(False):
            return SentenceTransformer(source.name, local_files_only=True, **options)
    except Exception:
        if is_folder(source.name):
            raise
    _find_on_hub(source)
    with _progress_bars(progress_is_wanted):
        return SentenceTransformer(source.name, **options)


def _find_on_hub(source: ModelSource) -> None:
    """Ask the hub once for a model that is to be loaded from there.

    Loading asks for some ten files in turn and tries each several times, which takes
    more than a minute where there is no network or no such model.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    # sentence-transformers looks for bare names in its own organisation first.
    names = [source.name]
    if "/" not in source.name:
        names.insert(0, f"sentence-transformers/{source.name}")
    *others, last = names
    for name in others:
        try:
            HfApi().model_info(name, revision=source.revision, timeout=HUB_SECONDS)
            return
        except RepositoryNotFoundError:
            pass
    HfApi().model_info(last, revision=source.revision, timeout=HUB_SECONDS)


def _advice(source: ModelSource, reason: str) -> str:
    revision = "" if source.revision is None else f" (revision {source.revision!r})"
    return (
        f"The sentence-transformers model {source.name!r}{revision} could not be "
        f"loaded ({reason}). Check the name and the network; offline, give the folder "
        "of a downloaded model or a loaded SentenceTransformer: "
        "set_params(encoder=...). Loading is tried again after "
        f"{RETRY_SECONDS:g} seconds."
    )


@contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    from transformers.utils import logging

    hide = not shown and logging.is_progress_bar_enabled()
    if hide:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hide:
            logging.enable_progress_bar()
