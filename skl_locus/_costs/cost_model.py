"""Model of costs: from prices and lengths, from a log, or as given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Self

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skl_locus._costs.query_lengths import QueryLengths
from skl_locus._costs.query_regression import AmountRegression, LoggedAmounts
from skl_locus._costs.tables import (
    PairCosts,
    check_matrix,
    costs_by_label,
    read_pair_costs,
    read_prices,
)
from skl_locus._data.columns import (
    as_frame,
    factorize_labels,
    read_amounts,
    read_column,
)
from skl_locus._data.evaluations import label_array
from skl_locus._data.query_batch import QueryBatch, read_batch
from skl_locus._data.reader import TableReaderMixin
from skl_locus._utils.estimators import PickleVersionMixin, atomic_fit
from skl_locus._utils.statistics import group_means
from skl_locus._utils.validation import collection_of

TOKENS_PER_PRICE = 1_000_000
"""Number of tokens that a price is for."""

CHARS_PER_TOKEN = 4.0
"""Characters of a token without a log to learn from: a rule of thumb for English."""


class CostModel(PickleVersionMixin, TableReaderMixin):
    """Learn from a log what a call of each model costs.

    The cost of a model on a query is the first of these that is known:

    1. the cost of the pair, where ``costs`` is a table of (model, query) costs;
    2. the model's cost per call, where ``costs`` is by label;
    3. ``(price_in * n_in + price_out * n_out) / 1e6``, with the prices of a million
       tokens, the length of the query in tokens and the mean length of the model's
       answers in the log;
    4. the mean of the model's costs in the log.

    All are in one unit, that of the prices, for instance US dollars. With a
    ``regressor``, the means of 3 and 4 depend on the query.

    Parameters
    ----------
    prices : DataFrame or mapping, default=None
        Prices per million tokens of input and output: a DataFrame with the columns
        price_in and price_out, whose index, or column ``model_col``, names the model,
        or a mapping of label to (price_in, price_out). Rows with a blank price count
        as missing.
    costs : mapping, Series or DataFrame, default=None
        Cost per call by label, or a table with columns of model, query (or query id)
        and cost, for pairs; what it does not hold is found in the ways 3 and 4.
    default_output_tokens : float, default=None
        Length of an answer where the log has none, and what the lengths of models
        with few rows are shrunk to; None takes the mean of the models' means.
    default_input_tokens : float, default=None
        Length of a query that is neither text nor has one in ``input_tokens_col``;
        None takes the mean of the log.
    chars_per_token : float, default=None
        Characters of a token of a query given as text; None learns the ratio from
        the rows of the log that have a text and ``input_tokens_col``, and is 4
        without such rows.
    shrinkage : float, default=10.0
        A model's mean length of answers counts as that many rows more, of the length
        that all are shrunk to. With a ``regressor``, what it predicts is shrunk in the
        same way: lengths to that length, and costs to the mean cost of the model.
    regressor : {"ridge", "knn"}, scikit-learn regressor or None, default=None
        What predicts the length of a model's answer, or the cost of its call, from the
        encoding of the query, as the plug-in rule of CARROT (arXiv:2502.03261) does.
        "ridge" is a linear function for each model, and "knn" the mean of the most
        similar queries, as many as the square root of the number of queries. A
        regressor is cloned and fitted for each model with at least 20 queries. None
        takes the means of the models, whatever the query.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors. Without a
        ``regressor`` nothing is encoded.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Columns of the model, the query and its identity. ``query_col`` may name a
        column of texts beside the vectors that a router reads.
    cost_col, input_tokens_col, output_tokens_col : str, default="cost", \
            "input_tokens", "output_tokens"
        Columns of what a row cost, and of the lengths of query and answer in tokens;
        rows in which one is blank are left out of its means.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.

    Attributes
    ----------
    mean_costs_ : Series
        Mean cost of the models in the log, by label; empty without ``cost_col``.
    output_tokens_ : Series
        Shrunk mean length of the models' answers, by label; empty without
        ``output_tokens_col``.
    mean_output_tokens_, mean_input_tokens_ : float
        What is taken for models and queries of unknown length; NaN where it is
        unknown too.
    chars_per_token_ : float
        Characters of a token.

    See Also
    --------
    RouterPolicy : Decide by what models cost.

    Notes
    -----
    A regressor reads the queries as routers do: the column ``query_col``, or
    ``encoding_cols``. Nothing beyond the range of a model's lengths or costs in the log
    is predicted. Texts are encoded by this model's own ``encoder``, apart from that of
    a router; give the same vectors to both to encode them once.

    Examples
    --------
    A log says how long the answers are, a table what tokens cost:

    >>> import pandas as pd
    >>> from skl_locus import CostModel
    >>> log = pd.DataFrame(
    ...     {"model": ["small", "large"], "query": ["7 * 8?", "7 * 8?"],
    ...      "input_tokens": [6, 6], "output_tokens": [2, 30]}
    ... )
    >>> prices = {"small": (0.5, 1.0), "large": (3.0, 10.0)}
    >>> costs = CostModel(prices=prices, shrinkage=0).fit(log)
    >>> (1e6 * costs.matrix(["7 * 9?", "7 * 9 * 11?"], ["small", "large"])).round(1)
    array([[  5. , 318. ],
           [  7.5, 333. ]])
    """

    _parameter_constraints: dict = {
        "prices": "no_validation",
        "costs": "no_validation",
        "default_output_tokens": [Interval(Real, 0, None, closed="left"), None],
        "default_input_tokens": [Interval(Real, 0, None, closed="left"), None],
        "chars_per_token": [Interval(Real, 0, None, closed="neither"), None],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "regressor": [
            StrOptions({"ridge", "knn"}),
            HasMethods(["fit", "predict"]),
            None,
        ],
        "encoder": "no_validation",
        "model_col": [str],
        "query_col": [str],
        "query_id_col": [str],
        "cost_col": [str],
        "input_tokens_col": [str],
        "output_tokens_col": [str],
        "encoding_cols": ["array-like", None],
    }

    # Pickles of an earlier version have no such parameters.
    regressor: Any = None
    encoder: Any = None
    encoding_cols: Sequence[str] | None = None
    _regressions: dict[str, AmountRegression] = {}

    def __init__(
        self,
        *,
        prices: Any = None,
        costs: Any = None,
        default_output_tokens: float | None = None,
        default_input_tokens: float | None = None,
        chars_per_token: float | None = None,
        shrinkage: float = 10.0,
        regressor: Any = None,
        encoder: Any = None,
        model_col: str = "model",
        query_col: str = "query",
        query_id_col: str = "query_id",
        cost_col: str = "cost",
        input_tokens_col: str = "input_tokens",
        output_tokens_col: str = "output_tokens",
        encoding_cols: Sequence[str] | None = None,
    ) -> None:
        self.prices = prices
        self.costs = costs
        self.default_output_tokens = default_output_tokens
        self.default_input_tokens = default_input_tokens
        self.chars_per_token = chars_per_token
        self.shrinkage = shrinkage
        self.regressor = regressor
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.cost_col = cost_col
        self.input_tokens_col = input_tokens_col
        self.output_tokens_col = output_tokens_col
        self.encoding_cols = encoding_cols

    @atomic_fit
    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Learn mean costs and lengths.

        Parameters
        ----------
        X : dataframe of shape (n_rows, n_columns), default=None
            A log, one row per call; None where all there is to know is given.
        y : ignored
            For scikit-learn's conventions.

        Returns
        -------
        self
            The fitted model.

        Raises
        ------
        ValueError
            If prices, costs or a column cannot be used; the model stays as it was.
        """
        self._validate_params()
        self._read_given()
        self._learn_lengths(X)
        return self

    def matrix(self, queries: Any, models: Any) -> np.ndarray:
        """Return what each model costs for each query.

        Parameters
        ----------
        queries : list of str, array of shape (n_queries, n_features), Series or \
                dataframe
            Bare queries. A frame may have their length in ``input_tokens_col``.
        models : sequence of labels
            The models, in the order of the columns.

        Returns
        -------
        ndarray of shape (n_queries, n_models), float64
            Costs in the unit of the prices.

        Raises
        ------
        ValueError
            If the cost of a model, or the length of a query, is not known.
        """
        check_is_fitted(self, "mean_costs_")
        labels = list(collection_of(models, "models"))
        batch = read_batch(queries, self.query_col)
        lengths = self._lengths(batch)
        amounts = self._predicted_amounts(batch, labels)
        costs = np.empty((len(batch), len(labels)))
        for column, label in enumerate(labels):
            own = {name: matrix[:, column] for name, matrix in amounts.items()}
            costs[:, column] = self._model_costs(label, lengths, own)
        costs = self._with_pairs(costs, batch, labels)
        self._check_known(costs, labels)
        check_matrix(costs, label_array(labels))
        return costs

    def _read_given(self) -> None:
        """Read what the parameters hold."""
        self._prices = {}
        if self.prices is not None:
            self._prices = read_prices(self.prices, self.model_col)
        self._call_costs, self._pair_costs = {}, []
        frame = None if isinstance(self.costs, pd.Series) else as_frame(self.costs)
        if frame is not None:
            self._pair_costs = self._read_costs_of_pairs(frame)
        elif self.costs is not None:
            self._call_costs = costs_by_label(self.costs)

    def _read_costs_of_pairs(self, frame: Any) -> list[tuple[str, PairCosts]]:
        """Read costs of pairs once by each column that identifies queries."""
        present = [
            name
            for name in (self.query_id_col, self.query_col)
            if name in frame.columns
        ]
        if not present:
            raise ValueError(
                f"costs has neither {self.query_col!r} nor {self.query_id_col!r}; a "
                "table of costs names the query of each row."
            )
        table, tables = read_batch(frame, self.query_col), []
        for name in present:
            keys = table.keys(name, is_id=name == self.query_id_col)
            assert keys is not None
            costs = read_pair_costs(frame, keys, self.model_col, self.cost_col)
            tables.append((name, costs))
        return tables

    def _learn_lengths(self, X: Any) -> None:
        """Learn mean costs and lengths from a log, if there is one."""
        frame = None if X is None else as_frame(X)
        if X is not None and frame is None:
            raise TypeError(f"X must be a dataframe of calls, got {type(X).__name__}.")
        columns = () if frame is None else frame.columns
        self.mean_costs_, n_costs = self._means_of(frame, self.cost_col, columns)
        n_lengths = self._learn_output_lengths(frame, columns)
        self._learn_input_lengths(frame, columns)
        self._regressions = {}
        if self.regressor is not None and frame is not None:
            # Costs are in no common unit that models could be shrunk to but their own.
            lengths = pd.Series(self.mean_output_tokens_, n_lengths.index)
            self._learn_regressions(
                frame,
                {
                    self.output_tokens_col: (n_lengths, lengths),
                    self.cost_col: (n_costs, self.mean_costs_),
                },
            )

    def _learn_regressions(
        self, frame: nw.DataFrame, amounts: dict[str, tuple[pd.Series, pd.Series]]
    ) -> None:
        """Learn amounts by query, given the rows and the prior of each model."""
        present = {name: known for name, known in amounts.items() if len(known[0])}
        if not present:
            return  # as without a regressor, there is nothing to learn from
        rows = self._read_rows(frame, reset=True)
        for name, (sizes, priors) in present.items():
            logged = LoggedAmounts.of(rows, read_amounts(frame, name))
            weights = (sizes / (sizes + self.shrinkage)).to_numpy(np.float64)
            self._regressions[name] = AmountRegression.fit(
                logged, self.regressor, weights, priors.to_numpy(np.float64)
            )

    def _learn_output_lengths(self, frame: Any, columns: Any) -> pd.Series:
        """Learn the lengths of answers; return the number of rows of each model."""
        means, sizes = self._means_of(frame, self.output_tokens_col, columns)
        prior = self.default_output_tokens
        if prior is None:
            prior = float(np.sort(means).mean()) if len(means) else np.nan
        # The prior length counts as `shrinkage` rows: a model with few rows in the log
        # has a mean length that a single long answer could double.
        total = means * sizes + self.shrinkage * prior
        self.output_tokens_ = (total / (sizes + self.shrinkage)).rename("output_tokens")
        self.mean_output_tokens_ = float(prior)
        return sizes

    def _learn_input_lengths(self, frame: Any, columns: Any) -> None:
        self.chars_per_token_ = self.chars_per_token or CHARS_PER_TOKEN
        self.mean_input_tokens_ = np.nan
        if {self.query_col, self.input_tokens_col} & set(columns):
            # All tables of queries are read alike, a log of calls among them.
            lengths = self._lengths(read_batch(frame, self.query_col))
            if self.chars_per_token is None:
                self.chars_per_token_ = lengths.chars_per_token(CHARS_PER_TOKEN)
            self.mean_input_tokens_ = lengths.mean_tokens(self.chars_per_token_)
        if self.default_input_tokens is not None:
            self.mean_input_tokens_ = float(self.default_input_tokens)

    def _means_of(
        self, frame: Any, name: str, columns: Any
    ) -> tuple[pd.Series, pd.Series]:
        """Return the mean of a column and its number of values, by model."""
        codes, values = np.empty(0, dtype=np.int32), np.empty(0)
        labels: list = []
        if name in columns:
            values = read_amounts(frame, name)
            codes, labels = factorize_labels(
                read_column(frame, self.model_col), self.model_col
            )
        known = ~np.isnan(values)
        means = group_means(values[known], codes[known], len(labels))
        sizes = np.bincount(codes[known], minlength=len(labels))
        # Labels as they are, also tuples and numbers of several types.
        index = pd.Index(labels, name=self.model_col, dtype=object, tupleize_cols=False)
        seen = sizes > 0
        return (
            pd.Series(means, index, name=name)[seen],
            pd.Series(sizes, index, name=name)[seen],
        )

    def _lengths(self, batch: QueryBatch) -> QueryLengths:
        return QueryLengths(
            batch.characters(self.query_col), batch.amounts(self.input_tokens_col)
        )

    def _predicted_amounts(
        self, batch: QueryBatch, labels: list
    ) -> dict[str, np.ndarray]:
        """Predict lengths and costs of all queries and models, by name of the column.

        Empty without a regressor: what does not depend on the query is not computed
        query by query.
        """
        if not self._regressions:
            return {}
        # Not the vectors of a router that has read the batch: it may have another
        # encoder, or have moved them.
        own = replace(batch, vectors=None)
        if batch.frame is not None:
            own = replace(own, query_col=self.query_col)
        own = self._read_queries(own)
        return {
            name: regression.predict(own.encodings, labels)[own.codes]
            for name, regression in self._regressions.items()
        }

    def _model_costs(
        self, label: Any, lengths: QueryLengths, amounts: dict[str, np.ndarray]
    ) -> np.ndarray | float:
        """Return the costs of one model without those of pairs, NaN if unknown."""
        if label in self._call_costs:
            return self._call_costs[label]
        if label not in self._prices:
            mean = self.mean_costs_.get(label, np.nan)
            return _filled(amounts.get(self.cost_col), mean)
        price_in, price_out = self._prices[label]
        mean = self.output_tokens_.get(label, self.mean_output_tokens_)
        n_out = _filled(amounts.get(self.output_tokens_col), mean)
        n_in = lengths.tokens(self.chars_per_token_, self.mean_input_tokens_)
        return (price_in * n_in + price_out * n_out) / TOKENS_PER_PRICE

    def _knows_cost_of(self, label: Any) -> bool:
        """Whether a model has any cost: of its calls, its tokens or some queries."""
        return (
            label in self._call_costs
            or label in self._prices
            or label in self.mean_costs_.index
            or any(label in pairs.labels for _, pairs in self._pair_costs)
        )

    def _with_pairs(
        self, costs: np.ndarray, batch: QueryBatch, labels: list
    ) -> np.ndarray:
        """Replace costs where those of the pair are known, by id before by text."""
        # The last replacement counts: ids come first in the list, and last here.
        for name, pairs in reversed(self._pair_costs):
            keys = batch.keys(name, is_id=name == self.query_id_col)
            if keys is not None:
                known = pairs.matrix(keys, labels)
                costs = np.where(np.isnan(known), costs, known)
        return costs

    def _check_known(self, costs: np.ndarray, labels: list) -> None:
        unknown = np.isnan(costs)
        if not unknown.any():
            return
        query, column = np.argwhere(unknown)[0]
        label = labels[column]
        if label not in self._prices:
            reason = (
                f"nothing tells what the model {label!r} costs; give its price or its "
                "cost, fit on a log of what it cost, or leave it out with models="
            )
        elif np.isnan(self.output_tokens_.get(label, self.mean_output_tokens_)):
            reason = (
                f"nothing tells how long answers are (model {label!r}); fit on a log "
                f"with the column {self.output_tokens_col!r} or pass "
                "default_output_tokens="
            )
        else:
            reason = (
                f"nothing tells how long query {query} is; pass a frame with the "
                f"column {self.input_tokens_col!r}, texts, or default_input_tokens="
            )
        raise ValueError(f"The costs are not known: {reason}.")


def _filled(amounts: np.ndarray | None, mean: float) -> np.ndarray | float:
    """Return what was predicted for each query, the mean for an unknown model."""
    return mean if amounts is None else np.where(np.isnan(amounts), mean, amounts)
