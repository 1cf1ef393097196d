"""What every reader of evaluation logs is held to."""

import json
import warnings

import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from skl_locus import BestSingleRouter, KMeansRouter
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning

NOT_UTF8 = b"\xe9t\xe9"


def assert_routes(table):
    """The result of a reader must go straight into the routers."""
    encoder = HashingVectorizer(n_features=16)
    for router in (
        KMeansRouter(n_clusters=1, encoder=encoder),
        BestSingleRouter(encoder=encoder),
    ):
        router.fit(table, table["score"])
        assert set(router.models_) == set(table["model"])
    assert isinstance(table["model"].dtype, pd.CategoricalDtype)
    assert table["score"].between(0, 1).all()
    if "task" in table:
        assert isinstance(table["task"].dtype, pd.CategoricalDtype)


def records(table, *columns):
    """Return rows as tuples of plain values."""
    return list(table[list(columns)].itertuples(index=False, name=None))


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_json(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def assert_bad(read, match, path=None, line=None, skipped=1):
    """The reader must name the place, or leave it out and count it."""
    with pytest.raises(LogFormatError, match=match) as caught:
        read()
    if path is not None:
        assert caught.value.path == str(path)
        assert str(path) in str(caught.value)
    assert caught.value.line == line
    if skipped is None:
        return None
    with pytest.warns(SkippedRecordsWarning, match=match) as caught_warnings:
        table = read(errors="skip")
    assert [warning.filename for warning in caught_warnings] == [__file__]
    assert table.attrs["skipped"]["malformed"] == skipped
    return table


def silently(read, **parameters):
    """Read a log that nothing may be lost from."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(**parameters)
