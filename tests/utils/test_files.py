"""Files that appear whole or not at all."""

import os
import stat
import time

import pytest

from skl_locus._utils.files import STALE_AFTER, new_file, open_regular


def write(path, content):
    with new_file(path) as file:
        file.write(content)


def test_a_new_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        write(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def write_and_stop(path):
    with new_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt


def test_the_old_file_is_there_until_the_end_and_after_an_error(tmp_path):
    path = tmp_path / "file"
    write(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of posix")
def test_a_new_file_has_the_mode_of_the_old_one_or_of_any_new_one(tmp_path):
    path, other = tmp_path / "file", tmp_path / "other"
    other.touch()
    write(path, b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    path.chmod(0o640)
    write(path, b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path):
    target, path = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    write(path, b"new")
    assert target.read_bytes() == b"precious"
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()


def test_drafts_of_killed_writers_go_with_the_next_one(tmp_path):
    path = tmp_path / "file"
    old, young = tmp_path / ".file.0123.draft", tmp_path / ".file.4567.draft"
    of_others = [tmp_path / ".other.0123.draft", tmp_path / ".file.0123.txt"]
    for file in (old, young, *of_others):
        file.touch()
    long_ago = time.time() - STALE_AFTER - 60
    for file in (old, *of_others):
        os.utime(file, (long_ago, long_ago))
    write(path, b"")
    assert not old.exists()
    assert young.exists()
    assert all(file.exists() for file in of_others)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"content"
