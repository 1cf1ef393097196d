"""A file that is not as it was written is refused, with one sentence, or equal."""

import json
import os
import pickle
import signal
import time

import joblib
import numpy as np
import pytest
from equality import differences
from every_estimator import NEW, QUERIES, fitted

import skl_locus
from skl_locus import QueryEncoder
from skl_locus._persistence.file_format import SavedFile, write_parts
from skl_locus.exceptions import SavedFileError


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """Return a file of a small estimator that has arrays, texts and tables."""
    path = tmp_path_factory.mktemp("small") / "small.locus"
    estimator = QueryEncoder("a-name", batch_size=np.arange(5.0))
    skl_locus.save(estimator, path)
    return path


def outcome(path, reference, **options):
    """Return "refused", "equal", or what has gone wrong."""
    try:
        loaded = skl_locus.load(path, **options)
    except SavedFileError as error:
        message = str(error)
        assert message.startswith(str(path))
        assert "\n" not in message
        return "refused"
    except Exception as error:
        return repr(error)
    return "equal" if differences(loaded, reference) == [] else "another one"


def flips(path, places, masks):
    """Change one byte of a file after the other, and put each one back."""
    content = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for place, mask in zip(places, masks, strict=True):
            byte = content[place]
            # Without a mask, the byte becomes zero, or one if it was zero.
            for changed in (byte ^ (mask or byte or 1), byte):
                file.seek(place)
                file.write(bytes([changed]))
                if changed != byte:
                    yield place


def test_every_byte_flipped_is_refused_or_equal(small_file, tmp_path):
    content = small_file.read_bytes()
    reference = skl_locus.load(small_file)
    path = tmp_path / "flipped.locus"
    path.write_bytes(content)
    places = range(len(content))
    # By turns one bit, all bits, and the byte zeroed.
    masks = [(1 << place % 8, 255, 0)[place % 3] for place in places]
    counts = {"refused": 0, "equal": 0}
    for place in flips(path, places, masks):
        found = outcome(path, reference)
        assert found in counts, (place, found)
        counts[found] += 1
    assert sum(counts.values()) == len(content)
    # Only the zeros behind an array are not under a checksum.
    assert counts["equal"] == -5 * 8 % 64
    assert path.read_bytes() == content


def test_flips_in_a_fitted_router_are_refused_or_equal(tmp_path):
    router = fitted("KMeansRouter")
    path = tmp_path / "router.locus"
    skl_locus.save(router, path)
    random = np.random.default_rng(0)
    places = random.choice(path.stat().st_size, 600, replace=False)
    for place in flips(path, places, (1 << random.integers(8, size=600)).tolist()):
        assert outcome(path, router) in ("refused", "equal"), place
        # Mapped, the arrays are not read; what is read is checked.
        found = outcome(path, router, mmap=True, verify=True)
        assert found in ("refused", "equal")


def test_every_truncation_is_refused(small_file, tmp_path):
    content = small_file.read_bytes()
    reference = skl_locus.load(small_file)
    path = tmp_path / "short.locus"
    for length in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        for mmap in (False, True):
            assert outcome(path, reference, mmap=mmap) == "refused"
        with pytest.raises(SavedFileError):
            skl_locus.describe(path)
    path.write_bytes(content + b"\0")
    assert outcome(path, reference) == "refused"


def test_a_mapped_file_checks_its_header_and_objects_and_verify_the_rest(tmp_path):
    router = fitted("KMeansRouter")
    path = tmp_path / "router.locus"
    skl_locus.save(router, path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1  # in the last array
    path.write_bytes(content)
    skl_locus.load(path, mmap=True)
    for options in ({"mmap": True, "verify": True}, {}):
        with pytest.raises(SavedFileError, match="checksum of array"):
            skl_locus.load(path, **options)
    skl_locus.load(path, verify=False)


FOREIGN_FILES = {
    "pickle": lambda path: path.write_bytes(pickle.dumps(fitted("KNNRouter"))),
    "joblib": lambda path: joblib.dump(fitted("KNNRouter"), path),
    "compressed": lambda path: joblib.dump(fitted("KNNRouter"), path, compress=3),
    "archive": lambda path: path.write_bytes(b"PK\3\4" + bytes(100)),
    "text": lambda path: path.write_text("a,b\n1,2\n"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("kind", FOREIGN_FILES)
def test_files_of_others_are_refused_and_not_opened_by_pickle(
    kind, tmp_path, monkeypatch
):
    path = tmp_path / "some.file"
    FOREIGN_FILES[kind](path)
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(joblib, "load", None)
    for read in (skl_locus.load, skl_locus.describe):
        with pytest.raises(SavedFileError, match=r"not a file of skl_locus\.save"):
            read(path)


def test_a_newer_format_says_upgrade(small_file, tmp_path):
    path = tmp_path / "newer.locus"
    content = small_file.read_bytes()
    path.write_bytes(content.replace(b"file 001", b"file 002", 1))
    with pytest.raises(SavedFileError, match=r"format 2.*[Uu]pgrade skl-locus"):
        skl_locus.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|[Dd]irectory"):
            skl_locus.load(path)
    with pytest.raises(FileNotFoundError):
        skl_locus.load(tmp_path / "nothing")


def claims(**changes):
    """Return the entry of an array in a header, with other claims than the truth."""
    return {"dtype": "<f8", "shape": [2], "order": "C", "sha256": "0" * 64} | changes


@pytest.mark.parametrize(
    "entry",
    [
        claims(shape=[2**60]),
        claims(shape=[2**40, 2**40]),
        claims(shape=[0] * 70),
        claims(shape=[0, 2**70]),
        claims(shape=[0, 2**62]),
        claims(shape=[-1]),
        claims(shape=[True]),
        claims(shape=2),
        claims(dtype="|O8"),
        claims(dtype="O"),
        claims(dtype="|V8"),
        claims(dtype=[["a", "<f8"]]),
        claims(dtype="(1000000,)<f8"),
        claims(order="K"),
        claims(sha256=None),
        [],
        None,
    ],
    ids=str,
)
def test_headers_that_claim_anything_are_refused_without_the_memory(
    entry, tmp_path, monkeypatch
):
    path = tmp_path / "claims.locus"
    monkeypatch.setattr(
        "skl_locus._persistence.file_format._described", lambda array: entry
    )
    with path.open("wb") as file:
        write_parts(file, {"estimator": "x"}, b"PK", [np.zeros(2)])
    with pytest.raises(SavedFileError):
        skl_locus.load(path, mmap=True, verify=True)
    with pytest.raises(SavedFileError):
        skl_locus.load(path)


@pytest.mark.parametrize("versions", [[1], "1", None, {"skl-locus": []}])
def test_versions_that_are_none_are_no_error_of_their_own(versions, tmp_path):
    path = tmp_path / "versions.locus"
    with path.open("wb") as file:
        write_parts(file, {"versions": versions}, b"no objects", [])
    with pytest.raises(SavedFileError, match="cannot be made"):
        skl_locus.load(path)


@pytest.mark.parametrize("header", [b"[]", b"{}", b"7", b"{", b"[" * 100_000])
def test_headers_that_are_none_are_refused(header, tmp_path):
    from skl_locus._persistence.file_format import FIRST_LINE_BYTES, _sha256

    path = tmp_path / "header.locus"
    line = f"skl-locus file 001 {len(header):012d} {_sha256(header)}\n"
    path.write_bytes(line.encode().ljust(FIRST_LINE_BYTES) + header)
    with pytest.raises(SavedFileError, match="damaged"):
        skl_locus.load(path)


def test_the_header_is_text_in_front(small_file):
    with SavedFile(small_file) as file:
        assert file.contents["estimator"] == "QueryEncoder"
    text = small_file.read_bytes()[128:].split(b"\n}\n")[0] + b"}"
    assert json.loads(text)["estimator"] == "QueryEncoder"


# Replacement


def test_a_mapped_router_goes_on_when_its_file_is_replaced_or_deleted(tmp_path):
    path = tmp_path / "router.locus"
    router = fitted("KNNRouter")
    skl_locus.save(router, path)
    mapped = skl_locus.load(path, mmap=True)
    skl_locus.save(fitted("BestSingleRouter"), path)
    assert differences(mapped, router) == []
    path.unlink()
    expected = router.correctness_matrix(QUERIES)
    np.testing.assert_array_equal(mapped.correctness_matrix(QUERIES), expected)
    mapped.add_models(NEW, NEW.score)


def test_mapped_arrays_cannot_be_written_to(tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(fitted("KNNRouter"), path)
    scores = skl_locus.load(path, mmap=True)._pool.evaluations.scores
    with pytest.raises(ValueError, match="read-only"):
        scores[0] = 1


def test_a_router_can_be_saved_onto_the_file_that_it_is_mapped_from(tmp_path):
    path = tmp_path / "router.locus"
    skl_locus.save(fitted("KNNRouter"), path)
    for _ in range(3):
        skl_locus.save(skl_locus.load(path, mmap=True), path)
    assert differences(skl_locus.load(path), fitted("KNNRouter")) == []


def save_for_ever(routers, path):
    while True:
        for router in routers:
            skl_locus.save(router, path)


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "router.locus"
    routers = [fitted("KNNRouter"), fitted("KMeansRouter")]
    skl_locus.save(routers[0], path)
    random = np.random.default_rng(0)
    found = []
    for _ in range(25):
        child = os.fork()
        if child == 0:
            try:
                save_for_ever(routers[::-1], path)
            finally:
                os._exit(1)
        time.sleep(0.05 + 0.3 * random.random())
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        loaded = skl_locus.load(path)
        same = [differences(loaded, router) == [] for router in routers]
        assert sum(same) == 1
        found.append(same.index(True))
    assert set(found) == {0, 1}  # the children did write


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "router.locus"
    skl_locus.save(fitted("KNNRouter"), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*nothing has changed.*router"):
        skl_locus.save(fitted("BestSingleRouter"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["router.locus"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing was saved.*missing"):
        skl_locus.save(fitted("KNNRouter"), tmp_path / "missing" / "router.locus")
