"""Whatever happens to a file: one kind of error, or a table of what is left."""

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_logs import (
    TEXTS,
    write_alpaca_eval,
    write_embedllm,
    write_helm,
    write_inspect_eval,
    write_inspect_json,
    write_inspect_zstandard,
    write_jsonl,
    write_llmrouterbench,
    write_lm_eval,
    write_long,
    write_parquet,
    write_routerbench,
)

from skl_locus import datasets
from skl_locus.exceptions import LogFormatError, SkippedRecordsWarning

EXAMPLES = 30

FORMATS = [
    (datasets.read_long, write_long),
    (datasets.read_long, write_jsonl),
    (datasets.read_long, write_parquet),
    (datasets.read_routerbench, write_routerbench),
    (datasets.read_embedllm, write_embedllm),
    (datasets.read_lm_eval, write_lm_eval),
    (datasets.read_inspect, write_inspect_json),
    (datasets.read_inspect, write_inspect_eval),
    (datasets.read_inspect, write_inspect_zstandard),
    (datasets.read_llmrouterbench, write_llmrouterbench),
    (datasets.read_helm, write_helm),
    (datasets.read_alpaca_eval, write_alpaca_eval),
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
    for errors in ("raise", "skip"):
        outcome = read_or_error(read, source, errors)
        if isinstance(outcome, LogFormatError):
            assert outcome.path is not None
            assert str(outcome).startswith(outcome.path)
        else:
            assert 0 < len(outcome) <= len(TEXTS)
            assert outcome["score"].between(0, 1).all()


def read_or_error(read, source, errors):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SkippedRecordsWarning)
        try:
            return read(source, errors=errors)
        except LogFormatError as error:
            return error
