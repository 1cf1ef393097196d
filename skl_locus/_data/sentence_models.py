"""Where sentence-transformers models come from, and what stands for a lost one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MissingModel:
    """Stands in an unpickled encoder for a model that is not in the pickle.

    Parameters
    ----------
    name : str
        What it was called.
    """

    name: str

    def message(self) -> str:
        """Return what an error says about it."""
        return (
            f"This QueryEncoder was unpickled without its sentence-transformers model "
            f"({self.name}) and knows only the vectors of the texts it was fitted on. "
            "To encode other texts, give the model back: set_params(encoder=...) on "
            "the QueryEncoder, which is query_encoder_ of a router."
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
