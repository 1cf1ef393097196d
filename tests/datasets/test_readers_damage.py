"""Whatever happens to a file: one kind of error, or a table of what is left."""

import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_logs import (
    TEXTS,
    write_alpaca_eval,
    write_embedllm,
    write_evalscope,
    write_helm,
    write_inspect_eval,
    write_inspect_json,
    write_inspect_zstandard,
    write_jsonl,
    write_lighteval,
    write_llmrouterbench,
    write_lm_eval,
    write_long,
    write_mlflow,
    write_parquet,
    write_promptfoo,
    write_promptfoo_lines,
    write_routerbench,
    write_wide,
)

from skl_locus import datasets
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning

EXAMPLES = 30

FORMATS = [
    (datasets.read_long, write_long),
    (datasets.read_long, write_jsonl),
    (datasets.read_long, write_parquet),
    (datasets.read_wide, write_wide),
    (datasets.read_routerbench, write_routerbench),
    (datasets.read_embedllm, write_embedllm),
    (datasets.read_lm_eval, write_lm_eval),
    (datasets.read_inspect, write_inspect_json),
    (datasets.read_inspect, write_inspect_eval),
    (datasets.read_inspect, write_inspect_zstandard),
    (datasets.read_llmrouterbench, write_llmrouterbench),
    (datasets.read_helm, write_helm),
    (datasets.read_alpaca_eval, write_alpaca_eval),
    (datasets.read_promptfoo, write_promptfoo),
    (datasets.read_promptfoo, write_promptfoo_lines),
    (datasets.read_evalscope, write_evalscope),
    (datasets.read_mlflow, write_mlflow),
    (datasets.read_lighteval, write_lighteval),
]

BINARY = (write_parquet, write_inspect_eval, write_inspect_zstandard, write_lighteval)

TEXT_FORMATS = [(read, write) for read, write in FORMATS if write not in BINARY]

JSON_FORMATS = [
    (read, write)
    for read, write in TEXT_FORMATS
    if write not in (write_long, write_wide, write_routerbench, write_embedllm)
]


@pytest.mark.parametrize(("read", "write"), FORMATS, ids=lambda f: f.__name__)
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_a_smaller_table(tmp_path, read, write, data):
    source, path = write(tmp_path)
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(
        st.sampled_from([b"", b"\x00", b"\xff", b'"', b"{", b"9", b"\n"])
    )
    rest = whole[start + 1 :] if data.draw(st.booleans()) else b""
    path.write_bytes(whole[:start] + damage + rest)
    assert_table_or_error(read, source)


def assert_table_or_error(read, source):
    for errors in ("raise", "skip"):
        outcome = read_or_error(read, source, errors)
        if isinstance(outcome, LogFormatError):
            assert outcome.path is not None
            assert str(outcome).startswith(outcome.path)
        else:
            assert 0 < len(outcome) <= len(TEXTS) * outcome["model"].nunique()
            assert outcome["score"].between(0, 1).all()


def read_or_error(read, source, errors):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SkippedRecordsWarning)
        try:
            return read(source, errors=errors)
        except LogFormatError as error:
            return error


NUMBERS = [True, -1, 10**400, float("nan")]
WRONG = [None, *NUMBERS, "", "half \ud83d", [], [[]], {}, {"a": 1}]
"""Values that something else is expected in the place of."""


def mutated(document):
    """Yield copies of a document with one value replaced or left out."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield {name: v for name, v in document.items() if name != key}
            yield from ({**document, key: other} for other in mutated(value))
    elif isinstance(document, list):
        for place, value in enumerate(document[:2]):
            yield document[:place] + document[place + 1 :]
            for other in mutated(value):
                yield [*document[:place], other, *document[place + 1 :]]
    yield from WRONG


@pytest.mark.parametrize(("read", "write"), JSON_FORMATS, ids=lambda f: f.__name__)
def test_a_value_of_another_kind_is_an_error_or_left_out(tmp_path, read, write):
    source, path = write(tmp_path)
    whole = path.read_text()
    first = whole.splitlines()[0] if path.suffix == ".jsonl" else whole
    rest = whole[len(first) :]
    for document in mutated(json.loads(first)):
        path.write_text(json.dumps(document) + rest)
        assert_table_or_error(read, source)


@pytest.mark.parametrize(("read", "write"), JSON_FORMATS, ids=lambda f: f.__name__)
def test_a_key_that_occurs_twice_is_an_error(tmp_path, read, write):
    source, path = write(tmp_path)
    whole = path.read_text()
    start = whole.index("{")
    key = whole[whole.index('"', start) + 1 :].partition('"')[0]
    path.write_text(f'{whole[: start + 1]}"{key}": 0, {whole[start + 1 :]}')
    with pytest.raises(LogFormatError, match=f"has the key '{key}' twice") as caught:
        read(source)
    assert caught.value.path is not None


@pytest.mark.parametrize(("read", "write"), FORMATS, ids=lambda f: f.__name__)
def test_an_empty_file_is_an_error(tmp_path, read, write):
    source, path = write(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(LogFormatError) as caught:
        read(source)
    assert caught.value.path is not None


@pytest.mark.parametrize(("read", "write"), TEXT_FORMATS, ids=lambda f: f.__name__)
def test_another_encoding_is_an_error_with_its_line(tmp_path, read, write):
    source, path = write(tmp_path)
    if write is write_helm:  # its statistics have no text
        path = path.with_name("instances.json")
    path.write_text(path.read_text().replace("\\u00df", "ß"), encoding="latin-1")
    with pytest.raises(LogFormatError, match="byte 0xdf is not UTF-8") as caught:
        read(source)
    assert caught.value.path is not None
    assert caught.value.line is not None
