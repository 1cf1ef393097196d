"""Where sentence-transformers models come from, and what stands for a lost one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PROBES = (
    "What is 7 * 8?",
    "Write a function that sorts a list of words by their length.",
    "Who was the first person to cross Antarctica on foot?",
)
"""Texts whose vectors are saved with an encoder, so that its model is known again."""

LEAST_COSINE = 0.98
"""Least cosine between two vectors of one text by the same model: other hardware and
lower precision stay above, other models of the same length are far below."""


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


def load_sentence_model(name: str, device: str, *, verbose: int = 0) -> Any:
    """Load a sentence-transformers model from a folder, the local cache or the hub.

    Parameters
    ----------
    name : str
        Name or folder.
    device : str
        "auto" or a torch device.
    verbose : int, default=0
        0 hides the progress bars of loading.

    Returns
    -------
    SentenceTransformer
        The model.

    Raises
    ------
    OSError
        If it cannot be loaded; the message says what to do.
    """
    from sentence_transformers import SentenceTransformer

    where = None if device == "auto" else device
    with _progress_bars(bool(verbose)):
        try:
            # A model that is here needs no network, and no wait for one.
            return SentenceTransformer(name, device=where, local_files_only=True)
        except Exception:
            pass
        try:
            return SentenceTransformer(name, device=where)
        except Exception as error:
            raise OSError(
                f"The sentence-transformers model {name!r} could not be loaded "
                f"({type(error).__name__}). Check the name and the network; offline, "
                "give the folder of a downloaded model or a loaded "
                "SentenceTransformer: set_params(encoder=...)."
            ) from error


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
