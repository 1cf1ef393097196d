"""Archives, unpacked beside themselves: nothing leads out, nothing explodes."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skl_locus.datasets._download import file_lock
from skl_locus.datasets._readers._files import require_inside
from skl_locus.datasets._readers._values import RecordError
from skl_locus.exceptions import LogFormatError

SUM_LETTERS = 12
"""Letters of an archive's sum in the name of its folder."""

DAMAGES = (tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
"""What tarfile raises on archives that are damaged or of another kind."""


def unpack(archive: Path, sha256: str, *, suffix: str, max_bytes: int) -> Path:
    """Return a folder with the files of a tar archive, unpacked at the first call.

    Parameters
    ----------
    archive : Path
        The archive, perhaps compressed.
    sha256 : str
        Its sum, part of the name of the folder: another archive has another one.
    suffix : str
        Ending of the files to unpack; all others stay where they are.
    max_bytes : int
        Size that the files may have together.

    Returns
    -------
    Path
        The folder. It only ever appears whole.

    Raises
    ------
    LogFormatError
        If the archive is damaged or too large, or a member would leave the folder.
    """
    folder = archive.with_name(f"{archive.name}-{sha256[:SUM_LETTERS]}")
    if folder.is_dir():
        return folder
    with file_lock(archive):
        if folder.is_dir():  # another process has been faster
            return folder
        draft = Path(tempfile.mkdtemp(dir=archive.parent, prefix=".unpacking-"))
        try:
            _unpack_into(draft, archive, suffix, max_bytes)
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft)
            raise
    return folder


def _unpack_into(folder: Path, archive: Path, suffix: str, max_bytes: int) -> None:
    left = max_bytes
    with _named(archive), tarfile.open(archive) as members:
        for member in members:
            require_inside(member.name)
            if not member.isfile() or not member.name.endswith(suffix):
                continue  # links lead who knows where, and devices are no logs
            left -= member.size
            if left < 0:
                raise RecordError(
                    f"its files have more than max_bytes={max_bytes} bytes; pass more "
                    "if you trust its origin"
                )
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with members.extractfile(member) as source, path.open("wb") as file:  # type: ignore[union-attr]
                shutil.copyfileobj(source, file)


@contextmanager
def _named(archive: Path) -> Iterator[None]:
    """Let every complaint about an archive name it."""
    try:
        yield
    except DAMAGES as error:
        problem = f"not a readable tar archive ({error})"
        raise LogFormatError(problem, archive) from error
    except RecordError as error:
        raise LogFormatError(str(error), archive) from error
