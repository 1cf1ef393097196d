"""Texts, images and other queries to vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.codes import find_sorted
from skl_locus._data.columns import (
    as_frame,
    factorize_labels,
    factorize_texts,
    is_sequence,
    is_text,
    object_cells,
    read_column,
)
from skl_locus._data.encodings import UNUSABLE, first_unusable
from skl_locus._data.media import (
    UnreadableImageError,
    contents_of,
    has_media,
    holds_media,
    images_of,
    kind_name,
    kind_of,
    media_queries,
)
from skl_locus._data.queries import QuerySet, text_keys
from skl_locus._data.sentence_models import (
    BACKENDS,
    PROBES,
    MissingModel,
    ModelSource,
    check_model_kwargs,
    check_same_model,
    encode_texts,
    is_folder,
    is_loaded_model,
    is_sentence_model,
    load_sentence_model,
)
from skl_locus._data.vector_cache import (
    DEFAULT_SIZE,
    VectorCache,
    name_of,
    shared_or_encoded,
)
from skl_locus._utils.estimators import PickleVersionMixin, atomic_fit
from skl_locus._utils.forks import survives_fork
from skl_locus._utils.progress import progress_bar, progress_shown
from skl_locus._utils.runtime import kept_beside, lock_of

OPENED_BATCHES = 16
"""Batches of images that are in memory at a time."""


class QueryEncoder(
    PickleVersionMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]
):
    """Encode the texts of queries, each distinct text once.

    Wraps a sentence-transformers model or any scikit-learn text transformer, the
    phi of the paper's section 2. The vectors of the texts seen in `fit` are kept,
    so that transforming them again, also after unpickling, encodes nothing. Vectors of
    other texts stay in a cache for a while (see Notes).

    Queries that are images, sound or other data are encoded in the same way, each
    distinct content once (see Notes).

    Parameters
    ----------
    encoder : str, path, SentenceTransformer or scikit-learn transformer, \
            default="all-MiniLM-L6-v2"
        Name or folder of a sentence-transformers model, a loaded one, or a
        transformer of texts such as ``make_pipeline(TfidfVectorizer(),
        TruncatedSVD(64))``, which is cloned and fitted. For images a model such as
        "clip-ViT-B-32", or a transformer that reads a list of them.
    query_col : str, default="query"
        Column of the texts in a dataframe.
    query_id_col : str, default="query_id"
        Column that keeps the identity of the queries once their text is gone; it
        is added, holding the text, where the dataframe has none.
    batch_size : int, default=32
        Texts per forward pass of a sentence-transformers model.
    device : str, default="auto"
        Device of a sentence-transformers model that is loaded by name.
    revision : str, default=None
        Branch, tag or commit of a model on the hub; a commit always stands for the
        same weights. None takes the newest, or what is in the local cache.
    backend : {"torch", "onnx", "openvino"}, default="torch"
        What runs a sentence-transformers model that is loaded by name or folder, in
        the terms of sentence-transformers. "onnx" needs the extra ``onnx``.
    model_kwargs : dict, default=None
        Options of a model that is loaded by name or folder, in the terms of
        sentence-transformers: "attn_implementation", "dtype", "export", "file_name",
        "provider", "subfolder" and "torch_dtype", with texts, numbers and bools as
        values.
    cache_size : int, default=4096
        Number of vectors in the cache of texts that are not of the fit; 0 for none.
    verbose : int, default=0
        1 shows a progress bar while a model is loaded or texts are encoded, once that
        has taken two seconds.

    Attributes
    ----------
    n_features_out_ : int
        Length of a vector.
    encoder_ : scikit-learn transformer
        The fitted transformer, where ``encoder`` is one.

    Notes
    -----
    Most models give a text other last bits in a batch than alone. Therefore the cache
    finds vectors again for equal sets of unknown texts: a single text again and again,
    or a batch that is routed and then ranked, but not a text that was once a part of a
    batch. So results never depend on what was asked before, and have the same bits
    without the cache. Vectors not used for the longest time are dropped first. The
    cache is safe to use from several threads; it is no part of pickles, saved files,
    copies and clones, and a forked process begins with an empty one. Whoever changes
    a loaded model in place (its ``max_seq_length``) must fit again and set
    ``cache_size=0``, or wrap the model anew.

    The pickle of a fitted encoder holds vectors, never the weights of a
    sentence-transformers model, a folder or an access token. A model given by name
    is loaded again when an unknown text comes (from the local cache, or else from
    the hub); a folder or a loaded model must be given back after unpickling, with
    ``set_params(encoder=...)``.

    Instead of texts, a column or list may hold images of Pillow, files
    (``pathlib.Path``), ``bytes``, or arrays of two or more dimensions, all of them of
    these kinds if the first is. A path that is a ``str`` is a text: turn it into a
    ``Path``. Queries are told apart by content: by the bytes of a file, by mode, size
    and pixels of an image, by type, shape and numbers of an array. Their names, such as
    ``"bytes:0f3a..."``, stand in for the text in ``query_id_col`` and in messages. A
    sentence-transformers model gets all of them as RGB images, opened with Pillow
    (extra ``images``) and turned as their EXIF tag says, some batches at a time; a
    scikit-learn transformer gets them as they are, and reads the kind of its fit alone.
    Texts stay texts, also those that are addresses or paths of images. Neither pickles
    nor saved files hold content or paths.

    Examples
    --------
    >>> from sklearn.decomposition import TruncatedSVD
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from skl_locus import QueryEncoder
    >>> texts = ["What is 7 * 8?", "What is 6 * 9?", "Who wrote Faust?"]
    >>> encoder = QueryEncoder(make_pipeline(TfidfVectorizer(), TruncatedSVD(2)))
    >>> encoder.fit(texts).transform(["Who wrote Faust?"]).shape
    (1, 2)
    """

    _parameter_constraints: dict = {
        "encoder": "no_validation",
        "query_col": [str],
        "query_id_col": [str],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "revision": [str, None],
        "backend": [StrOptions(set(BACKENDS))],
        "model_kwargs": [dict, None],
        "cache_size": [Interval(Integral, 0, None, closed="left")],
        "verbose": ["verbose"],
    }

    # Pickles of earlier versions have no such parameters.
    revision: str | None = None
    backend: str = "torch"
    model_kwargs: dict[str, Any] | None = None
    cache_size: int = DEFAULT_SIZE
    _reads_media = False

    def __init__(
        self,
        encoder: Any = "all-MiniLM-L6-v2",
        *,
        query_col: str = "query",
        query_id_col: str = "query_id",
        batch_size: int = 32,
        device: str = "auto",
        revision: str | None = None,
        backend: str = "torch",
        model_kwargs: dict[str, Any] | None = None,
        cache_size: int = DEFAULT_SIZE,
        verbose: int = 0,
    ) -> None:
        self.encoder = encoder
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.batch_size = batch_size
        self.device = device
        self.revision = revision
        self.backend = backend
        self.model_kwargs = model_kwargs
        self.cache_size = cache_size
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> QueryEncoder:
        """Encode the distinct texts and keep their vectors.

        Parameters
        ----------
        X : list of str, array or Series of shape (n_queries,), or dataframe
            Texts or media, or a table with a column of them.
        y : None
            Ignored.

        Returns
        -------
        QueryEncoder
            Itself.
        """
        self._validate_params()
        _, texts = self._distinct_texts(X)
        if not texts:
            raise ValueError("There is no text to fit on; pass at least one query.")
        self._fit_distinct(texts, text_keys(texts))
        return self

    def transform(self, X: Any) -> Any:
        """Replace texts by vectors.

        Parameters
        ----------
        X : list of str, array or Series of shape (n_queries,), or dataframe
            Texts or media, or a table with a column of them.

        Returns
        -------
        ndarray of shape (n_queries, `n_features_out_`) or DataFrame
            Vectors; for a dataframe, a pandas DataFrame with vector cells in the
            query column (rows of one query share one array) and the identity of
            the queries in ``query_id_col``.
        """
        check_is_fitted(self)
        codes, texts = self._distinct_texts(X)
        vectors = self._transform_distinct(texts, text_keys(texts))
        frame = as_frame(X)
        if frame is None:
            return vectors[codes]
        return self._encoded_frame(frame, codes, texts, vectors)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns of the vectors of a list of texts.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (`n_features_out_`,)
            Names.
        """
        check_is_fitted(self)
        return np.array(
            [f"queryencoder{i}" for i in range(self.n_features_out_)], dtype=object
        )

    def set_output(self, *, transform: str | None = None) -> QueryEncoder:
        """Leave the container as it is: a frame for a frame, an array for a list.

        Parameters
        ----------
        transform : str or None
            Accepted so that a Pipeline can pass it on; a table is always returned
            as a pandas DataFrame.

        Returns
        -------
        QueryEncoder
            Itself.
        """
        return self

    def __sklearn_tags__(self) -> Tags:
        """Declare that the input is text."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    @atomic_fit
    def _fit_distinct(self, texts: Sequence[str], keys: np.ndarray) -> np.ndarray:
        """Fit on distinct texts and return the vectors that are kept, not a copy.

        Parameters
        ----------
        texts : sequence of str
            Distinct texts, at least one; their order makes no difference.
        keys : ndarray of shape (n_texts,)
            Digests of the texts.

        Returns
        -------
        ndarray of shape (n_texts, `n_features_out_`)
            One vector per text, not to be written to.
        """
        self._validate_params()
        check_model_kwargs(self.model_kwargs)
        fitted = None
        if is_sentence_model(self.encoder):
            self._is_folder = is_folder(self.encoder)
        else:
            with (
                progress_shown(self.verbose),
                progress_bar("fit text encoder", len(texts), unit="text") as bar,
            ):
                fitted = _fitted(self.encoder, texts)
                bar.advance(len(texts))
        vectors = self._encode(texts, fitted)
        order = np.argsort(keys)
        self.encoder_ = fitted
        self._known = QuerySet(keys[order], order.astype(np.int32), vectors)
        self._reads_media = has_media(texts)
        self.n_features_out_ = vectors.shape[1]
        return vectors

    def _transform_distinct(self, texts: Sequence[str], keys: np.ndarray) -> np.ndarray:
        """Return the vectors of distinct texts, those of `fit` as they are kept.

        Parameters
        ----------
        texts : sequence of str
            Distinct texts; their order makes no difference.
        keys : ndarray of shape (n_texts,)
            Digests of the texts.

        Returns
        -------
        ndarray of shape (n_texts, `n_features_out_`)
            One vector per text.
        """
        known = self._known
        if len(known) == 0:
            return self._cached(texts, keys)
        at = find_sorted(known.keys, keys)
        vectors = known.vectors(at)
        unknown = np.flatnonzero(at < 0)
        if len(unknown):
            new = [texts[int(i)] for i in unknown]
            vectors[unknown] = self._cached(new, keys[unknown])
        return vectors

    def _cached(self, texts: Sequence[str], keys: np.ndarray) -> np.ndarray:
        """Return the vectors of distinct texts, encoded together now or before."""
        if not 0 < len(texts) <= self.cache_size:
            return self._encode_alike(texts)
        cache = kept_beside(self, VectorCache)
        source = self._encoder_in_use(), self.batch_size
        order = np.argsort(keys)
        name = name_of(keys[order])
        vectors = cache.find(source, name)
        if vectors is None:
            vectors = self._encode_alike([texts[i] for i in order])
            cache.keep(source, name, vectors, self.cache_size)
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def _encode_alike(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts; the vectors must be as long as those of `fit`."""
        of_fit = not len(texts) or has_media(texts) == self._reads_media
        if self.encoder_ is not None and not of_fit:
            raise ValueError(
                f"The encoder was fitted on {kind_name(self._reads_media)} and got "
                f"{kind_of(texts)}, which a scikit-learn transformer does not read as "
                "well; pass queries of the kind of the fit."
            )
        vectors = self._encode(texts, self.encoder_)
        if vectors.shape[1] != self.n_features_out_:
            raise ValueError(
                f"The encoder returned vectors of length {vectors.shape[1]}, but was "
                f"fitted with length {self.n_features_out_}; use the same encoder."
            )
        return vectors

    def _distinct_texts(self, X: Any) -> tuple[np.ndarray, list[str]]:
        frame = as_frame(X)
        column = self.query_col
        values = X if frame is None else read_column(frame, column)
        if not is_sequence(values):
            raise ValueError(
                f"X must be a list of texts or a dataframe with the column {column!r},"
                f" got {type(X).__name__}; wrap a single text: [text]."
            )
        if not isinstance(values, pd.Series):
            values = object_cells(values)
        if len(values) == 0:
            return np.empty(0, dtype=np.int32), []
        if not is_text(values):
            if not holds_media(values):
                raise ValueError(
                    f"QueryEncoder encodes text; the queries ({column!r}) are not text,"
                    " nor images (of Pillow, paths, bytes) or arrays of two or more "
                    "dimensions."
                )
            values = media_queries(values, column)
        codes, texts = factorize_texts(values, column)
        rank, texts = factorize_labels(np.array(texts, dtype=object), column)
        return rank[codes], texts

    def _encode(self, texts: Sequence[str], fitted: Any) -> np.ndarray:
        # Sorted, since in what company a text is encoded may change its last bits.
        order = sorted(range(len(texts)), key=texts.__getitem__)
        ordered = [texts[i] for i in order]
        if fitted is None:
            encoded = shared_or_encoded(
                self._source(), ordered, lambda: self._encode_in_order(ordered, None)
            )
        else:
            encoded = self._encode_in_order(ordered, fitted)
        places = np.empty(len(order), dtype=np.intp)
        places[order] = np.arange(len(order))
        return encoded[places]

    def _source(self) -> tuple:
        """Return by what encoders with the same text model are known."""
        by_name = isinstance(self.encoder, (str, Path))
        # A model in memory is the same object; its id stays while an encoder has it.
        model = str(self.encoder) if by_name else id(self.encoder)
        options = self.revision, self.backend, repr(self.model_kwargs)
        return model, *options, self.device, self.batch_size

    @survives_fork
    def _encode_in_order(self, texts: list[str], fitted: Any) -> np.ndarray:
        texts = list(map(_encodable, texts))
        with progress_shown(self.verbose), _naming_what_cannot_be_read(texts):
            if fitted is None:
                vectors = self._encoded_by_model(texts)
            else:
                with progress_bar("encode", len(texts), unit="text") as bar:
                    encoded = fitted.transform(contents_of(texts))
                    bar.advance(len(texts))
                vectors = encoded.toarray() if issparse(encoded) else encoded
        vectors = _as_vectors(vectors, len(texts))
        at = first_unusable(vectors)
        if at is not None:
            raise ValueError(
                f"The encoder returned a vector that has {UNUSABLE} for the text "
                f"{texts[at]!r:.60}."
            )
        return vectors

    def _encoded_by_model(self, texts: list[str]) -> Any:
        """Encode by a sentence-transformers model; images are opened some at a time."""
        model = self._sentence_model()
        if not has_media(texts):
            return encode_texts(model, texts, self.batch_size)
        step = OPENED_BATCHES * self.batch_size
        starts = range(0, len(texts), step)
        parts = [texts[start : start + step] for start in starts]
        return np.concatenate(
            [encode_texts(model, images_of(part), self.batch_size) for part in parts]
        )

    @survives_fork
    def _encoder_in_use(self) -> Any:
        """Return the object that encodes, loaded if need be."""
        return self._sentence_model() if self.encoder_ is None else self.encoder_

    def _sentence_model(self) -> Any:
        if isinstance(self.encoder, MissingModel):
            raise ValueError(self.encoder.message())
        if not isinstance(self.encoder, (str, Path)):
            return self.encoder
        source = ModelSource(
            str(self.encoder),
            self.device,
            self.revision,
            self.backend,
            check_model_kwargs(self.model_kwargs),
        )
        loaded = getattr(self, "_loaded", None)
        if loaded is None or loaded[0] != source:
            # Of several threads with unknown texts one loads it, and the others wait.
            with lock_of(self):
                loaded = getattr(self, "_loaded", None)
                if loaded is None or loaded[0] != source:
                    with progress_shown(self.verbose):
                        loaded = (source, load_sentence_model(source))
                    # Kept, by one assignment, so that serving loads it once.
                    self._loaded = loaded
        return loaded[1]

    def _encoded_frame(
        self,
        frame: nw.DataFrame,
        codes: np.ndarray,
        texts: list[str],
        vectors: np.ndarray,
    ) -> pd.DataFrame:
        table = _to_pandas(frame)
        shared = object_cells(list(vectors))
        table[self.query_col] = shared[codes]
        if self.query_id_col not in table.columns:
            names = list(map(str, texts))  # media keep their names alone
            table[self.query_id_col] = pd.Categorical.from_codes(codes, names)
        return table

    def set_params(self, **params: Any) -> QueryEncoder:
        """Set parameters; a loaded encoder checks the model that it is given back.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        QueryEncoder
            Itself.

        Raises
        ------
        ValueError
            If this encoder was fitted, saved and loaded, and ``encoder`` is not the
            model that it was fitted with.
        """
        if "encoder" in params:
            self._take_back(params["encoder"])
        return super().set_params(**params)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state; a fitted encoder has been loaded without its model."""
        super().__setstate__(state)
        self._is_loaded = hasattr(self, "_known")

    def __getstate__(self) -> dict:
        """Drop loaded models, and folders from the state of a fitted encoder."""
        state = dict(super().__getstate__())
        for name in ("_loaded", "_is_loaded"):
            state.pop(name, None)
        if "_known" in state:
            state["encoder"] = self._portable(self.encoder)
        return state

    def __deepcopy__(self, memo: dict) -> QueryEncoder:
        """Share the loaded model, which nothing changes."""
        for model in (self.encoder, getattr(self, "_loaded", None)):
            if hasattr(model, "encode") or isinstance(model, tuple):
                memo[id(model)] = model
        return super().__deepcopy__(memo)

    def _take_back(self, encoder: Any) -> None:
        """Check, if this encoder was loaded, that a model is the one of its fit.

        Parameters
        ----------
        encoder : object
            A new value of the parameter ``encoder``, which is not set yet.
        """
        if not getattr(self, "_is_loaded", False) or self.encoder_ is not None:
            return
        if isinstance(encoder, QueryEncoder):
            encoder = encoder.encoder
        if encoder is None or not is_sentence_model(encoder):
            raise ValueError(
                "This encoder was fitted with a sentence-transformers model and loaded "
                f"without it; encoder={encoder!r:.80} is none. To fit anew with "
                "another encoder, clone the estimator first (sklearn.base.clone)."
            )
        twin = clone(self)
        # Past `set_params`, and with whatever is loaded already.
        twin.encoder = encoder
        twin._reads_media = self._reads_media
        probes = twin._encoded_probes()
        if probes is not None:
            check_same_model(probes, self.n_features_out_, self._probes_or_none())
        loaded = getattr(twin, "_loaded", None)
        if loaded is not None:
            self._loaded = loaded
        self.encoder = encoder

    def _probe_vectors(self) -> np.ndarray | None:
        """Return the vectors of `PROBES` by which the model is known again.

        They are encoded if the model is in memory, and else those of an earlier time,
        None if there are none or if the encoder is scikit-learn's.
        """
        is_here = is_loaded_model(self.encoder) or hasattr(self, "_loaded")
        if self.encoder_ is None and is_here:
            return self._encoded_probes()
        return self._probes_or_none()

    def _encoded_probes(self) -> np.ndarray | None:
        """Encode `PROBES`; None by a model of images that reads no texts."""
        try:
            return self._encode(PROBES, None)
        except Exception:
            if not self._reads_media:
                raise
            return None

    def _probes_or_none(self) -> np.ndarray | None:
        return getattr(self, "_probes", None)

    def _forget(self) -> None:
        """Drop the vectors of the texts of `fit`; `transform` encodes them again."""
        self._known = self._known.take(np.arange(0))

    def _portable(self, encoder: Any) -> Any:
        """Return what a pickle may hold of the parameter that this encoder had.

        Parameters
        ----------
        encoder : object
            The parameter, perhaps as another estimator's QueryEncoder.

        Returns
        -------
        object
            The same, with folders and loaded models replaced by a `MissingModel`.
        """
        if isinstance(encoder, QueryEncoder):
            return clone(encoder).set_params(encoder=self._portable(encoder.encoder))
        if isinstance(encoder, MissingModel) or not is_sentence_model(encoder):
            return encoder
        if not isinstance(encoder, (str, Path)):
            return MissingModel(type(encoder).__name__)
        if self._is_folder or is_folder(encoder):
            return MissingModel(Path(encoder).name)
        return encoder


def _encodable(text: str) -> str:
    """Return a text with U+FFFD for each half of a surrogate pair that stands alone.

    Texts that were cut within an emoji have one; tokenizers and hashes encode texts as
    UTF-8, which has no place for it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@survives_fork
def _fitted(transformer: Any, texts: Sequence[str]) -> Any:
    texts = sorted(map(_encodable, texts))
    with _naming_what_cannot_be_read(texts):
        return clone(transformer).fit(contents_of(texts))


@contextmanager
def _naming_what_cannot_be_read(texts: Sequence[str]) -> Iterator[None]:
    """Say that an encoder of texts got images, whatever it raises then."""
    try:
        yield
    except (ImportError, MemoryError, UnreadableImageError):
        raise
    except Exception as error:
        if not has_media(texts):
            raise
        kinds = sorted({type(content).__name__ for content in contents_of(texts)})
        raise ValueError(
            f"The encoder cannot read the queries, which are of type "
            f"{', '.join(kinds)}; pass an encoder of such queries "
            f"({type(error).__name__}: {error})."
        ) from error


def _as_vectors(encoded: Any, n_texts: int) -> np.ndarray:
    """Return what an encoder made of texts as a float32 matrix with a row for each."""
    try:
        with np.errstate(over="ignore"):  # what overflows is found as infinite
            vectors = np.asarray(encoded, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The encoder must return one vector of numbers per text: {error}"
        ) from error
    if vectors.ndim != 2 or len(vectors) != n_texts:
        raise ValueError(
            "The encoder must return one vector per text; it returned shape "
            f"{vectors.shape} for {n_texts} texts."
        )
    return vectors


def as_query_encoder(encoder: Any, *, verbose: int = 0) -> QueryEncoder:
    """Return a new, unfitted QueryEncoder for the parameter ``encoder``.

    It shows its progress if the parameter ``verbose`` of either says so.
    """
    if not isinstance(encoder, QueryEncoder):
        return QueryEncoder(encoder, verbose=verbose)
    twin = clone(encoder)
    return twin.set_params(verbose=max(int(twin.verbose), int(verbose)))


def _to_pandas(frame: nw.DataFrame) -> pd.DataFrame:
    """Copy a frame of any library to pandas; the caller may add columns."""
    if frame.implementation.is_pandas_like():
        return frame.to_native().copy(deep=False)
    return frame.to_pandas()
