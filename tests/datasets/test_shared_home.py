"""A data home that others can write to: no pickles, no links, readable folders."""

import io
import os
import stat
import tarfile

import joblib
import numpy as np
import pytest

from skl_locus.datasets import load_digits_pool
from skl_locus.datasets._archives import unpack
from skl_locus.datasets._download import (
    DownloadOptions,
    RemoteFile,
    fetch_file,
    file_lock,
)
from skl_locus.exceptions import FetchError

on_posix = pytest.mark.skipif(os.name != "posix", reason="links and modes of posix")
SHA = "0123456789ab" + "0" * 52


class Trap:
    """Does harm when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_planted_cache_file_is_replaced_and_not_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    expected = load_digits_pool(data_home=home)
    (cache,) = home.iterdir()
    for plant in (
        lambda: joblib.dump(Trap(), cache),
        lambda: np.savez(cache, content=np.array([Trap()], dtype=object)),
        lambda: joblib.dump(Trap(), cache.with_suffix(".joblib")),
    ):
        plant()
        pool = load_digits_pool(data_home=home)
        assert pool.evaluations.score.equals(expected.evaluations.score)
        assert not (tmp_path / "harm").exists()
    assert cache.suffix == ".npz"


def archive(folder, mode=0o600):
    """Write a tar archive with one file that only its owner may read."""
    path = folder / "logs.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("deep/log.json")
        member.size, member.mode = 2, mode
        tar.addfile(member, io.BytesIO(b"{}"))
    return path


@on_posix
def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("content")
    path = tmp_path / "file"
    (tmp_path / ".file.lock").symlink_to(precious)
    with pytest.raises(FetchError, match="is a link"), file_lock(path):
        pass
    assert precious.read_text() == "content"


def test_a_lock_is_left_as_it_is(tmp_path):
    path = tmp_path / "file"
    (tmp_path / ".file.lock").write_text("of another user")
    with file_lock(path):
        pass
    assert (tmp_path / ".file.lock").read_text() == "of another user"


@on_posix
@pytest.mark.parametrize("ending", ["part", "part.etag", "sha256"])
def test_a_link_beside_a_download_is_refused_and_its_target_stays(tmp_path, ending):
    precious = tmp_path / "precious"
    precious.write_text("content")
    remote = RemoteFile("http://127.0.0.1:9/file", tmp_path / "file")
    (tmp_path / f"file.{ending}").symlink_to(precious)
    with pytest.raises(FetchError, match="is a link"):
        fetch_file(remote, DownloadOptions(n_retries=0))
    assert precious.read_text() == "content"


@on_posix
def test_unpacked_folders_and_files_are_readable_for_others(tmp_path):
    before = os.umask(0o022)
    try:
        folder = unpack(archive(tmp_path), SHA, suffix=".json", max_bytes=100)
    finally:
        os.umask(before)
    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]
    }
    assert set(modes.values()) == {0o755, 0o644}


@on_posix
def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    path = archive(tmp_path)
    left = tmp_path / ".unpacking-logs.tar-0123456789abcdef"
    others = [
        tmp_path / ".unpacking-logs.tar-more.tar-0123456789abcdef",
        tmp_path / ".unpacking-others.tar-0123456789abcdef",
    ]
    for folder in (left, *others):
        folder.mkdir()
        (folder / "half").write_text("a file")
    unpack(path, SHA, suffix=".json", max_bytes=100)
    assert not left.exists()
    assert all(folder.exists() for folder in others)
