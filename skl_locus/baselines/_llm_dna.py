"""The embedder by random projections of the models' responses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skl_locus._data.columns import as_frame, read_column
from skl_locus._data.evaluations import label_array
from skl_locus._data.queries import KEY_BYTES, UniqueQueries, distinct_queries
from skl_locus._data.query_encoder import QueryEncoder, as_query_encoder
from skl_locus._data.reader import COLUMN_CONSTRAINTS, RowCodes, TableReaderMixin
from skl_locus._utils.estimators import PickleVersionMixin, atomic_fit
from skl_locus._utils.model_frames import ModelFrameMixin


@dataclass(frozen=True)
class Answers:
    """Responses by model and query.

    Parameters
    ----------
    rows : RowCodes
        Models and queries of a table.
    response_codes : ndarray of shape (n_rows,)
        Response of each row, in the order of the responses' keys.
    responses : ndarray of shape (n_responses, n_response_features), float32
        Encodings of the distinct responses.
    """

    rows: RowCodes
    response_codes: np.ndarray
    responses: np.ndarray

    @property
    def models(self) -> np.ndarray:
        """Labels, sorted."""
        assert self.rows.labels is not None
        return label_array(self.rows.labels)

    def by_query(self, keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield encodings of queries and of the models' mean responses to them.

        These have shape (n_features,) and (n_models, n_response_features).
        """
        rows = self.rows
        # Repeated responses are summed in the order of their keys, not of the rows.
        order = np.lexsort((self.response_codes, rows.model_codes, rows.query_codes))
        queries = rows.query_codes[order]
        for code in np.searchsorted(rows.queries.keys, keys):
            answers = order[slice(*np.searchsorted(queries, [code, code + 1]))]
            starts = np.flatnonzero(np.diff(rows.model_codes[answers], prepend=-1))
            vectors = self.responses[self.response_codes[answers]].astype(np.float64)
            counts = np.diff(np.append(starts, len(answers)))[:, None]
            query = rows.queries.vectors(slice(code, code + 1))[0]
            yield query, np.add.reduceat(vectors, starts) / counts


class LLMDNAEmbedder(ModelFrameMixin, PickleVersionMixin, TableReaderMixin):
    """Embed models by a random projection of their responses to common queries.

    LLM-DNA (Wu et al., arXiv 2509.24496), a comparator, as section 1.1 of the LOCUS
    paper describes it: the encodings of all queries and of a model's responses to them
    are concatenated and projected to fewer dimensions by a Gaussian random matrix.
    Nothing is learned, no scores are read and nothing is predicted. Every model must
    have answered every query.

    Parameters
    ----------
    n_components : int, default=128
        Length of an embedding.
    random_state : int, RandomState or None, default=None
        Seed of the random matrix, drawn in `fit`.
    response_col : str, default="response"
        Name of the column with the responses: texts, or a vector per cell.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of texts, fitted on the distinct queries and separately on the
        distinct responses; None if both are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair: the mean of the
        response encodings, or an error.

    Attributes
    ----------
    query_keys_ : ndarray of shape (n_queries,)
        Digests of the queries of `fit`, ascending.
    n_queries_ : int
        Number of queries to which every model must have a response.
    n_features_in_ : int
        Length of a query encoding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the encoding columns. Defined only if the queries are given as
        columns.
    n_response_features_ : int
        Length of a response encoding.
    query_encoder_ : QueryEncoder or None
        Fitted encoder of text queries.
    response_encoder_ : QueryEncoder or None
        Fitted encoder of text responses.

    See Also
    --------
    LocusEmbedder : Embeddings from any scored queries.

    Notes
    -----
    z_m = sum over queries q of [phi(x_q), psi(r_mq)] R_q, where the entries of R_q are
    independent normal with variance 1 / ``n_components``. In expectation, squared
    distances are those of the concatenated encodings (Johnson and Lindenstrauss). The
    queries, which all models share, shift every embedding alike.

    R_q is not stored but drawn again from the seed and the key of the query. The memory
    therefore does not grow with the number of queries, and the order of the queries
    does not matter. Embeddings are comparable only if they come from one fitted
    embedder and from NumPy versions whose generators draw the same numbers.

    The samples of the output are models, not rows of the input.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skl_locus import LLMDNAEmbedder
    >>> queries = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    >>> log = pd.DataFrame({"model": ["a", "a", "b", "b"], "query": queries * 2})
    >>> log["response"] = [np.full(3, x) for x in (0.0, 1.0, 2.0, 3.0)]
    >>> LLMDNAEmbedder(n_components=8, random_state=0).fit_transform(log).shape
    (2, 8)
    """

    response_encoder_: QueryEncoder | None

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "response_col": [str],
        **COLUMN_CONSTRAINTS,
        "duplicates": [StrOptions({"mean", "raise"})],
    }

    def __init__(
        self,
        n_components: int = 128,
        *,
        random_state: int | np.random.RandomState | None = None,
        response_col: str = "response",
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        encoding_cols: Any = None,
        duplicates: str = "mean",
    ) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.response_col = response_col
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    def fit(self, X: Any, y: Any = None) -> Self:
        """Store the queries, fit the encoders and draw a seed.

        Parameters
        ----------
        X : dataframe of n_rows rows
            One row per model and query, with the response.
        y : object, default=None
            Not used.

        Returns
        -------
        self
            The fitted embedder.

        Raises
        ------
        ValueError
            If the table cannot be used or a model lacks a response; the embedder
            stays unchanged.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        """Fit to the queries of a table and embed its models.

        Parameters
        ----------
        X : dataframe of n_rows rows
            One row per model and query, with the response.
        y : object, default=None
            Not used.

        Returns
        -------
        DataFrame of shape (n_models, n_components)
            Embeddings, as `transform` returns them.
        """
        self._check_container()
        return self._embed(self._fit(X))

    def transform(self, X: Any) -> pd.DataFrame:
        """Embed the models of a table.

        Parameters
        ----------
        X : dataframe of n_rows rows
            Responses of any models to all queries of `fit`. Other queries are
            ignored.

        Returns
        -------
        DataFrame of shape (n_models, n_components), float32
            Embeddings, indexed by model and sorted by label.
        """
        check_is_fitted(self)
        self._check_container()
        answers = self._read_answers(X, reset=False)
        self._check_complete(answers)
        return self._embed(answers)

    @property
    def n_queries_(self) -> int:
        """Number of queries that every model must have answered."""
        return len(self.query_keys_)

    @property
    def _n_features_out(self) -> int:
        return self._n_components

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a query set."""
        return hasattr(self, "query_keys_")

    def __sklearn_tags__(self) -> Tags:
        """Declare the input as a table with responses, never an array."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Leave folders and loaded models out of the state of a fitted embedder."""
        state = super().__getstate__()
        fitted: QueryEncoder | None = state.get("response_encoder_")
        if fitted is None:
            return state
        return {**state, "encoder": fitted._portable(self.encoder)}

    @atomic_fit
    def _fit(self, X: Any) -> Answers:
        self._validate_params()
        answers = self._read_answers(X, reset=True)
        self.query_keys_ = answers.rows.queries.keys
        self._check_complete(answers)
        self._n_components = int(self.n_components)
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return answers

    def _read_answers(self, X: Any, *, reset: bool) -> Answers:
        frame = as_frame(X)
        if frame is None or self.model_col not in frame.columns:
            raise ValueError(
                f"{type(self).__name__} embeds models from their responses; pass a "
                f"dataframe with the columns {self.model_col!r}, {self.query_col!r} "
                f"and {self.response_col!r}."
            )
        responses = distinct_queries(
            read_column(frame, self.response_col),
            None,
            query_col=self.response_col,
            query_id_col=self.query_id_col,
        )
        rows = self._read_rows(X, reset=reset)
        self._check_repetitions(rows)
        vectors = self._response_vectors(responses, reset)
        return Answers(rows, responses.codes, vectors[responses.value_rows])

    def _response_vectors(self, responses: UniqueQueries, reset: bool) -> np.ndarray:
        vectors = responses.vectors
        if vectors is None:
            vectors = self._encode_responses(responses.texts, reset)
        elif reset:
            self.response_encoder_ = None
        if reset:
            self.n_response_features_ = vectors.shape[1]
        elif vectors.shape[1] != self.n_response_features_:
            raise ValueError(
                f"The column {self.response_col!r} has encodings of length "
                f"{vectors.shape[1]}, but {type(self).__name__} was fitted with length "
                f"{self.n_response_features_}; use the same encoder."
            )
        return vectors

    def _encode_responses(self, texts: Any, reset: bool) -> np.ndarray:
        if reset:
            encoder = as_query_encoder(self._text_encoder())
            vectors = encoder.fit_transform(texts)
            # There are as many responses as rows; an embedder need not carry them.
            encoder._forget()
            self.response_encoder_ = encoder
            return vectors
        if self.response_encoder_ is None:
            raise ValueError(
                f"{type(self).__name__} was fitted on encoded responses and got text; "
                "encode the text in the same way, or fit with encoder=."
            )
        return self.response_encoder_.transform(texts)

    def _text_encoder(self) -> Any:
        if self.encoder is None:
            raise ValueError(
                f"The column {self.response_col!r} holds text, but encoder=None; pass "
                "encoder= (a sentence-transformers name, a QueryEncoder or a "
                "scikit-learn text transformer), or vectors."
            )
        return self.encoder

    def _check_repetitions(self, rows: RowCodes) -> None:
        if self.duplicates != "raise":
            return
        pairs = pd.DataFrame({"model": rows.model_codes, "query": rows.query_codes})
        repeated = pairs.duplicated().to_numpy()
        if repeated.any():
            assert rows.labels is not None
            row = int(repeated.argmax())
            raise ValueError(
                f"Model {rows.labels[rows.model_codes[row]]!r} has a second response "
                f"to one query (row {row}) and duplicates='raise'; drop one."
            )

    def _check_complete(self, answers: Answers) -> None:
        rows, models = answers.rows, answers.models
        wanted = np.isin(rows.queries.keys, self.query_keys_)[rows.query_codes]
        pairs = rows.model_codes * np.int64(len(rows.queries)) + rows.query_codes
        answered = np.unique(pairs[wanted]) // len(rows.queries)
        missing = self.n_queries_ - np.bincount(answered, minlength=len(models))
        if missing.any():
            worst = int(missing.argmax())
            raise ValueError(
                f"Model {models[worst]!r} has no response to {missing[worst]} of the "
                f"{self.n_queries_} queries of fit; {type(self).__name__} needs every "
                "response: drop the model, or fit on queries that all have answered."
            )

    def _embed(self, answers: Answers) -> pd.DataFrame:
        # One query at a time: the matrices R_q of all queries need not fit in memory.
        Z = np.zeros((len(answers.models), self._n_components))
        by_query = answers.by_query(self.query_keys_)
        for key, (query, responses) in zip(self.query_keys_, by_query, strict=True):
            projection = self._projection(key)
            Z += query.astype(np.float64) @ projection[: self.n_features_in_]
            Z += responses @ projection[self.n_features_in_ :]
        Z /= np.sqrt(self._n_components)
        return self._model_frame(Z.astype(np.float32), answers.models)

    def _projection(self, key: bytes) -> np.ndarray:
        """Draw R_q, (n_features_in_ + n_response_features_, n_components)."""
        # NumPy strips trailing zero bytes from the keys it returns.
        words = np.frombuffer(key.ljust(KEY_BYTES, b"\0"), dtype="<u4")
        random = np.random.default_rng([self._seed, *words])
        shape = (self.n_features_in_ + self.n_response_features_, self._n_components)
        return random.standard_normal(shape)
