"""Fetching: whatever the server does, the right file, or one error that says why."""

import errno
import hashlib
import io
import os
import socket
import tarfile
import threading
import time
import urllib.request
from functools import partial

import pandas as pd
import pytest
from file_server import (
    chunked_and_cut,
    cut,
    elsewhere,
    hang_up,
    other,
    part_without_place,
    rest,
    rest_of_another_version,
    serving,
    status,
    too_short_a_promise,
    whole,
    wrong_part,
)

from skl_locus.datasets import _download as download
from skl_locus.datasets import _fetchers as fetchers
from skl_locus.datasets import (
    fetch_embedllm,
    fetch_llmrouterbench,
    fetch_routerbench,
    read_routerbench,
)
from skl_locus.exceptions import FetchError, LogFormatError

TABLE = pd.DataFrame(
    {
        "sample_id": [f"sums.{i}" for i in range(20)],
        "prompt": [f"{i} * 8?" for i in range(20)],
        "eval_name": "sums",
        "small": 0.0,
        "small|total_cost": 0.001,
        "large": 1.0,
        "large|total_cost": 0.1,
    }
)
CONTENT = TABLE.to_csv(index=False).encode()
SUM = hashlib.sha256(CONTENT).hexdigest()
KEPT = "routerbench/table.csv"


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fetch(server, home, **parameters):
    url = f"{server.url}/some/table.csv?download=true"
    parameters = {"delay": 0, "data_home": home, **parameters}
    return fetch_routerbench(url=url, **parameters)


def fail(home, content, *answers, match=None, **parameters):
    """Fetch in vain; return the headers of the requests."""
    failure = pytest.raises(FetchError, match=match)
    with serving(content, *answers) as server, failure:
        fetch(server, home, **parameters)
    return server.requests


def assert_whole(table, home):
    assert len(table) == 2 * len(TABLE)
    assert (home / KEPT).read_bytes() == CONTENT
    assert not list(home.glob("routerbench/*.part*"))


@pytest.mark.parametrize("checksum", [SUM, SUM.upper(), None])
def test_a_file_is_fetched_once(tmp_path, checksum):
    with serving(CONTENT, rest) as server:
        first = fetch(server, tmp_path, checksum=checksum)
        again = fetch(server, tmp_path, checksum=checksum)
    assert_whole(first, tmp_path)
    pd.testing.assert_frame_equal(first, again)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [
        [status(500), status(503), status(429), rest],
        [hang_up, rest],
        [cut(100), rest],
        [cut(100), hang_up, status(502), cut(50), rest],
        [cut(100), whole],
        [cut(100), wrong_part, rest],
        [cut(100), part_without_place, rest],
        [cut(100), rest_of_another_version, rest],
        [wrong_part, rest],
        [cut(100), status(416), rest],
        [chunked_and_cut(100), rest],
        [*[cut(60)] * 40],
    ],
)
@pytest.mark.parametrize("checksum", [SUM, None])
def test_a_bad_connection_is_overcome(tmp_path, answers, checksum):
    with serving(CONTENT, *answers) as server:
        table = fetch(server, tmp_path, checksum=checksum)
    assert_whole(table, tmp_path)


def test_only_what_is_missing_is_asked_for(tmp_path):
    with serving(CONTENT, cut(100), rest) as server:
        fetch(server, tmp_path)
    first, second = server.requests
    assert "Range" not in first
    assert second["Range"] == "bytes=100-"
    assert second["If-Range"] == '"version-1"'


def test_a_redirection_is_followed_with_what_is_asked_for(tmp_path):
    with serving(CONTENT, cut(100), elsewhere) as server:
        table = fetch(server, tmp_path)
    assert_whole(table, tmp_path)
    assert [request.get("Range") for request in server.requests] == [
        None,
        "bytes=100-",
        "bytes=100-",
    ]


def test_the_next_call_goes_on_where_the_last_one_failed(tmp_path):
    fail(
        tmp_path,
        CONTENT,
        cut(100),
        status(500),
        match=r"HTTP status 500.*; 100 bytes are kept",
        n_retries=1,
    )
    with serving(CONTENT, rest) as server:
        table = fetch(server, tmp_path)
    assert_whole(table, tmp_path)
    assert server.requests[0]["Range"] == "bytes=100-"


def test_a_file_that_has_changed_is_fetched_from_the_start(tmp_path):
    fail(tmp_path, b"x" * 150, cut(100), status(500), n_retries=1)
    with serving(CONTENT, partial(rest, tag='"version-2"')) as server:
        table = fetch(server, tmp_path)
    assert_whole(table, tmp_path)


def test_without_a_tag_or_a_sum_nothing_is_resumed(tmp_path):
    with serving(CONTENT, cut(100, tag='W/"weak"'), rest) as server:
        table = fetch(server, tmp_path)
    assert_whole(table, tmp_path)
    assert "Range" not in server.requests[1]


def test_with_a_sum_parts_that_do_not_fit_are_fetched_anew(tmp_path):
    fail(
        tmp_path, b"x" * 150, cut(100, tag=None), status(500), checksum=SUM, n_retries=1
    )
    with serving(CONTENT, rest) as server:
        table = fetch(server, tmp_path, checksum=SUM)
    assert_whole(table, tmp_path)
    assert [request.get("Range") for request in server.requests] == [
        "bytes=100-",
        None,
    ]


def test_all_bytes_had_arrived_when_the_last_call_was_stopped(tmp_path):
    fail(tmp_path, CONTENT, cut(100), status(500), n_retries=1)
    (tmp_path / f"{KEPT}.part").write_bytes(CONTENT)
    with serving(CONTENT, rest) as server:
        table = fetch(server, tmp_path)
    assert_whole(table, tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "sent"),
    [(other(b"other"), b"other"), (too_short_a_promise, CONTENT[:5])],
)
def test_wrong_bytes_are_refused_with_both_sums(tmp_path, answer, sent):
    with serving(CONTENT, answer) as server, pytest.raises(FetchError) as caught:
        fetch(server, tmp_path, checksum=SUM)
    message = str(caught.value)
    assert SUM in message
    assert hashlib.sha256(sent).hexdigest() in message
    assert str(tmp_path / KEPT) in message
    assert not list(tmp_path.glob("routerbench/table*"))
    assert len(server.requests) == 1


def test_a_server_that_never_brings_anything_new_is_given_up(tmp_path):
    requests = fail(
        tmp_path,
        CONTENT,
        cut(100, tag=None),
        match=r"100 of .* bytes have arrived",
        n_retries=2,
    )
    assert len(requests) == 3


@pytest.mark.parametrize("n_retries", [0, 1, 3])
def test_retries_are_counted(tmp_path, n_retries):
    requests = fail(tmp_path, CONTENT, status(503), match="503", n_retries=n_retries)
    assert len(requests) == 1 + n_retries


@pytest.mark.parametrize("answer", [status(404), status(503), other(b"other")])
def test_messages_hide_the_secrets_of_an_address(tmp_path, answer):
    with serving(CONTENT, answer) as server, pytest.raises(FetchError) as caught:
        fetch_routerbench(
            url=f"{server.url}/table.csv?key=k3y0fm1ne",
            data_home=tmp_path,
            checksum=SUM,
            delay=0,
        )
    assert f"{server.url}/table.csv " in str(caught.value)
    assert "k3y0fm1ne" not in str(caught.value)


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_will_not_change_is_not_tried_again(tmp_path, code):
    requests = fail(tmp_path, CONTENT, status(code), match=f"HTTP status {code}")
    assert len(requests) == 1


def test_the_delay_is_waited_for(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    with serving(CONTENT, status(500), status(500), rest) as server:
        fetch(server, tmp_path, delay=2.5)
    assert waited == [2.5, 2.5]


@pytest.mark.parametrize(
    "problem",
    [
        urllib.error.URLError(socket.gaierror(-3, "no name resolution")),
        urllib.error.URLError(OSError(101, "Network is unreachable")),
    ],
)
def test_offline_it_says_so_at_once(tmp_path, monkeypatch, problem):
    def open_url(*arguments, **options):
        attempts.append(arguments)
        raise problem

    attempts = []
    monkeypatch.setattr(download.urllib.request.OpenerDirector, "open", open_url)
    monkeypatch.setattr(download.time, "sleep", lambda delay: pytest.fail("waited"))
    with pytest.raises(FetchError) as caught:
        fetch_routerbench(data_home=tmp_path, allow_pickle=True)
    assert len(attempts) == 1
    assert str(problem.reason) in str(caught.value)
    assert str(tmp_path / "routerbench" / "routerbench_0shot.pkl") in str(caught.value)


def test_a_file_put_there_by_hand_is_found(tmp_path):
    (tmp_path / "routerbench").mkdir()
    (tmp_path / KEPT).write_bytes(CONTENT)
    url = "https://example.org/table.csv"
    table = fetch_routerbench(url=url, data_home=tmp_path)
    pd.testing.assert_frame_equal(table, read_routerbench(tmp_path / KEPT))


def test_a_missing_file_is_an_error_where_downloads_are_not_wanted(tmp_path):
    requests = fail(
        tmp_path,
        CONTENT,
        rest,
        match=r"table\.csv is missing and download_if",
        download_if_missing=False,
    )
    assert not requests


def test_a_recorded_sum_is_checked_at_later_uses(tmp_path):
    with serving(CONTENT, rest) as server:
        fetch(server, tmp_path)
        record = tmp_path / f"{KEPT}.sha256"
        assert record.read_text() == f"{SUM}  table.csv\n"
        (tmp_path / KEPT).write_bytes(CONTENT + b"\n")
        with pytest.raises(
            FetchError, match=r"expected by table\.csv\.sha256"
        ) as caught:
            fetch(server, tmp_path)
        assert SUM in str(caught.value)
        (tmp_path / KEPT).unlink()
        assert_whole(fetch(server, tmp_path), tmp_path)
        record.write_text("")
        fetch(server, tmp_path)
        assert record.read_text() == f"{SUM}  table.csv\n"


def test_a_published_sum_belongs_to_the_name_of_the_file(tmp_path):
    (tmp_path / "routerbench").mkdir()
    path = tmp_path / "routerbench" / "routerbench_0shot.pkl"
    TABLE.to_pickle(path)
    with pytest.raises(FetchError, match=r"but ba4f77f19517610a.* is expected"):
        fetch_routerbench(data_home=tmp_path, allow_pickle=True)
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    table = fetch_routerbench(data_home=tmp_path, allow_pickle=True, checksum=own)
    assert len(table) == 2 * len(TABLE)


def test_a_pickle_is_not_even_fetched_without_consent(tmp_path):
    with pytest.raises(ValueError, match=r"is a pickle.*allow_pickle=True"):
        fetch_routerbench(data_home=tmp_path)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"url": "file:///etc/table.csv"}, "url must begin with https://"),
        ({"url": "https://example.org/"}, "end with the name of a file"),
        ({"url": "https://example.org/a.csv", "checksum": "abc"}, "64 hexadecimal"),
        ({"version": "1shot"}, "version must be one of"),
        ({"n_retries": -1}, "n_retries must be an integer of at least 0"),
        ({"delay": -1}, "delay must not be negative"),
    ],
)
def test_bad_arguments_are_named(tmp_path, parameters, match):
    with pytest.raises(ValueError, match=match):
        fetch_routerbench(data_home=tmp_path, **parameters)
    with pytest.raises(ValueError, match="splits must be some of"):
        fetch_embedllm(data_home=tmp_path, splits=("dev",))


def test_two_at_a_time_fetch_once(tmp_path):
    tables = []
    with serving(CONTENT, rest) as server:
        threads = [
            threading.Thread(target=lambda: tables.append(fetch(server, tmp_path)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(table) for table in tables] == [2 * len(TABLE)] * 4
    if download.fcntl is not None:
        assert len(server.requests) == 1


def test_progress_is_shown_on_request_only(tmp_path, capsys):
    with serving(CONTENT, cut(100), rest) as server:
        fetch(server, tmp_path / "quiet")
        assert capsys.readouterr() == ("", "")
        fetch(server, tmp_path / "verbose", verbose=True)
    assert "table.csv" in capsys.readouterr().err


def embedllm_answers(handler):
    rows = pd.DataFrame(
        {"prompt_id": [0, 0], "model_id": [1, 2], "label": [0, 1], "prompt": "7 * 8?"}
    )
    rows = rows.assign(model_name=["a", ""], category="sums")
    names = pd.DataFrame({"model_id": [2], "model_name": ["b"]})
    table = names if handler.path == "/mirror/model_order.csv" else rows
    handler.send(table.to_csv(index=False).encode())


def test_embedllm_is_fetched_file_by_file(tmp_path):
    with serving(b"", embedllm_answers) as server:
        url = f"{server.url}/mirror/"
        options = {"url": url, "data_home": tmp_path, "delay": 0}
        table = fetch_embedllm(splits=("test",), **options)
        assert table["model"].tolist() == ["a", "b"]
        assert not (tmp_path / "embedllm" / "train.csv").exists()
        with pytest.raises(FetchError, match="4ac81ebe312d2ca0"):
            fetch_embedllm(**options)
        sum_of = hashlib.sha256((tmp_path / "embedllm/test.csv").read_bytes())
        sums = {f"{name}.csv": sum_of.hexdigest() for name in ("train", "val")}
        assert len(fetch_embedllm(checksum=sums, **options)) == 2


RUN = b'{"records": [{"origin_query": "7 * 8?", "score": 1.0}]}'
PLACE = "bench/sums/test/small/20250101_120000.json"


def archive_of(*members, content=RUN):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for member in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def link(name, to, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def fetch_archive(archive, home, **parameters):
    with serving(archive, rest) as server:
        url = f"{server.url}/bench.tar.gz"
        return fetch_llmrouterbench(url=url, data_home=home, delay=0, **parameters)


def test_an_archive_is_unpacked_once(tmp_path):
    archive = archive_of(PLACE, "bench/readme.md", "._hidden")
    table = fetch_archive(archive, tmp_path)
    assert table[["model", "query", "task"]].iloc[0].tolist() == [
        *("small", "7 * 8?", "sums")
    ]
    (folder,) = (tmp_path / "llmrouterbench").glob("bench.tar.gz-*")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files == [folder / PLACE]
    files[0].write_bytes(RUN.replace(b"1.0", b"0.5"))
    assert fetch_archive(archive, tmp_path)["score"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "match"),
    [("../escaped.json", "outside"), ("/tmp/a.json", "outside"), ("a/../../b", "outs")],
)
def test_a_member_that_leads_out_is_refused(tmp_path, name, match):
    with pytest.raises(LogFormatError, match=match):
        fetch_archive(archive_of(PLACE, name), tmp_path / "home")
    assert not list(tmp_path.rglob("*.json"))


def test_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    members = [
        link("bench", str(outside)),
        link("hard.json", "/etc/passwd", tarfile.LNKTYPE),
        PLACE,
    ]
    table = fetch_archive(archive_of(*members), tmp_path / "home")
    assert len(table) == 1
    assert not list(outside.iterdir())


def test_a_bomb_is_refused_before_it_explodes(tmp_path):
    bomb = archive_of(*[f"{i}/t/m/1.json" for i in range(10)], content=b" " * 10_000)
    with pytest.raises(LogFormatError, match=r"more than max_bytes=50000 bytes"):
        fetch_archive(bomb, tmp_path, max_bytes=50_000)
    assert not list(tmp_path.rglob("*.json"))
    assert not list(tmp_path.rglob(".unpacking*"))


@pytest.mark.parametrize(
    "archive",
    [b"no archive", b"", archive_of(PLACE, content=RUN * 500)[:-40]],
    ids=["text", "empty", "truncated"],
)
def test_a_damaged_archive_is_named(tmp_path, archive):
    with pytest.raises(LogFormatError, match=r"bench\.tar\.gz: not a readable tar"):
        fetch_archive(archive, tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_a_name_below_a_file_and_names_that_no_disk_takes(tmp_path):
    for number, name in enumerate(["a.json/b.json", "x" * 5000 + ".json"]):
        home = tmp_path / str(number)
        archive = archive_of("a.json", name)
        with pytest.raises(LogFormatError, match="a member cannot be unpacked"):
            fetch_archive(archive, home)
        assert not list(home.rglob("*.json"))
        assert not list(home.rglob(".unpacking*"))


def test_a_header_is_not_read_whole_whatever_its_size(tmp_path):
    member = tarfile.TarInfo(PLACE)
    member.pax_headers = {"comment": "x" * 2**21}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO())
    with pytest.raises(LogFormatError, match="a header has more than 1048576 bytes"):
        fetch_archive(raw.getvalue(), tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_compression_of_an_archive(tmp_path, mode):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as archive:
        member = tarfile.TarInfo(PLACE)
        member.size = len(RUN)
        archive.addfile(member, io.BytesIO(RUN))
    assert len(fetch_archive(raw.getvalue(), tmp_path)) == 1


def test_what_a_killed_process_left_is_removed_and_the_folder_is_for_all(tmp_path):
    folder = tmp_path / "llmrouterbench"
    folder.mkdir(mode=0o755)
    (folder / ".unpacking-bench.tar.gz-old").mkdir()
    (folder / ".unpacking-other.tar.gz-new").mkdir()
    fetch_archive(archive_of(PLACE), tmp_path)
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert ".unpacking-bench.tar.gz-old" not in names
    assert ".unpacking-other.tar.gz-new" in names
    (unpacked,) = folder.glob("bench.tar.gz-*")
    assert unpacked.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("place", ["download", "archive", "home"])
def test_a_disk_that_refuses(tmp_path, monkeypatch, code, place):
    def refuse(*arguments, **options):
        raise OSError(code, os.strerror(code))

    target = {
        "download": (download.PartialFile, "append"),
        "archive": (tarfile.TarFile, "extractall"),
        "home": (fetchers, "get_data_home"),
    }[place]
    monkeypatch.setattr(*target, refuse)
    match = rf"\({os.strerror(code)}\).*pass another data_home="
    with pytest.raises(FetchError, match=match):
        fetch_archive(archive_of(PLACE), tmp_path)
    assert not list(tmp_path.rglob(".unpacking*"))


def test_a_lock_that_is_a_link_does_not_empty_what_it_leads_to(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "routerbench").mkdir()
    (tmp_path / "routerbench" / ".table.csv.lock").symlink_to(precious)
    fail(tmp_path, CONTENT, rest, match="could not be written or read")
    assert precious.read_text() == "mine"


def more_than_promised(handler):
    """Send without a length in the header that counts, as chunked answers do."""
    handler.send_response(206)
    start, total = handler.asked, len(handler.server.content)
    handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
    handler.send_header("ETag", '"version-1"')
    handler.end_headers()
    handler.wfile.write(handler.server.content[start:] + b"x" * 1000)


def test_more_bytes_than_announced_are_not_taken(tmp_path):
    fail(
        tmp_path,
        CONTENT,
        cut(100),
        more_than_promised,
        match="sent more than the .* bytes it said",
        n_retries=1,
    )


def test_a_server_that_drips_is_given_up(tmp_path, monkeypatch):
    def drip(handler):
        handler.send(b"x", length=10**6)
        for _ in range(40):
            time.sleep(0.05)
            handler.wfile.write(b"x")
            handler.wfile.flush()

    monkeypatch.setattr(download, "PATIENCE", 0.2)
    fail(tmp_path, CONTENT, drip, match=r"only \d+ bytes came in", n_retries=0)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("ftp://127.0.0.1/a.csv", "redirects to ftp://127.0.0.1/a.csv, which is not"),
        ("file:///etc/passwd", "HTTP status 302, Found"),
    ],
)
def test_a_redirection_out_of_the_web_is_not_followed(tmp_path, target, match):
    def redirect(handler):
        handler.send(b"", 302, Location=f"{target}?token=s3cret")

    with serving(CONTENT, redirect) as server, pytest.raises(FetchError) as caught:
        fetch(server, tmp_path)
    assert match in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_redirection_does_not_give_up_encryption():
    handler = download._SafeRedirects()
    request = urllib.request.Request("https://me:pw@example.org/a.csv?key=k3y")
    refused = "https://example.org/a.csv redirects to http://example.org/a.csv"
    with pytest.raises(FetchError, match=refused) as caught:
        handler.redirect_request(
            request, io.BytesIO(), 302, "", {}, "http://example.org/a.csv"
        )
    assert "pw" not in str(caught.value)
    same = handler.redirect_request(
        request, io.BytesIO(), 302, "", {}, "https://example.org/b.csv"
    )
    assert same.full_url == "https://example.org/b.csv"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:s3cret@example.org/a.csv?token=s3cret",
        "https://me:s3cret@example.org/?token=s3cret",
        "https://[example.org/s3cret/?x",
        "https://example.org/" + "x" * 300 + ".csv?s3cret",
        "https://example.org/a%00.csv?s3cret",
    ],
)
def test_bad_addresses_are_refused_without_their_secrets(tmp_path, url):
    with pytest.raises(ValueError, match="url must") as caught:
        fetch_routerbench(url=url, data_home=tmp_path)
    assert "token" not in str(caught.value)
    assert "me:" not in str(caught.value)


@pytest.mark.parametrize("host", ["exa mple.org", "example.org:port", "a..b"])
def test_an_address_that_cannot_be_asked_is_one_error(tmp_path, host):
    url = f"https://{host}/table.csv?token=s3cret"
    with pytest.raises(FetchError) as caught:
        fetch_routerbench(url=url, data_home=tmp_path, n_retries=0)
    assert "s3cret" not in str(caught.value)
