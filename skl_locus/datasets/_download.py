"""Downloads that resume after interruptions, with checksums for every use."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tqdm.auto import tqdm

from skl_locus.exceptions import FetchError

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

CHUNK_BYTES = 2**20
"""Bytes received at a time."""

TIMEOUT = 10
"""Seconds to wait for a silent server, in each attempt."""

PATIENCE = 60
"""Seconds after which an attempt may be too slow: `TIMEOUT` is per byte received."""

MIN_SPEED = 1024
"""Bytes per second that an attempt must bring on average, after `PATIENCE`."""

SCHEMES = ("https", "http")
"""Schemes of addresses that are fetched, and to which a server may redirect."""

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same request may succeed."""

OUT_OF_RANGE = 416
"""HTTP status for a request of bytes beyond the end of the file."""

WRITTEN_BESIDE = ("sha256", "part", "part.etag")
"""Endings of the files that are written beside a downloaded one."""

UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
"""Errors of a machine without a network."""

CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d+|\*)/(?:(\d{1,18})|\*)")
"""Position of the first byte sent and length of the file, where known."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server, and its place on disk.

    Parameters
    ----------
    url : str
        Address on the server.
    path : Path
        Place on disk.
    sha256 : str or None
        Published SHA-256, if any.
    """

    url: str
    path: Path
    sha256: str | None = None

    @property
    def address(self) -> str:
        """Address for messages, without user, password and query.

        The address of a private mirror can hold a token in any of these.
        """
        return without_secrets(self.url)


def without_secrets(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not an address at all, and so with nothing to be hidden
        return url.partition("?")[0].rpartition("@")[2]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


@dataclass(frozen=True)
class DownloadOptions:
    """How files are fetched.

    Parameters
    ----------
    download_if_missing : bool
        Whether to download a file that is not on disk.
    n_retries : int
        Further attempts after one that brought no new bytes.
    delay : float
        Seconds between two attempts.
    verbose : bool
        Whether to show a progress bar.
    """

    download_if_missing: bool = True
    n_retries: int = 3
    delay: float = 1.0
    verbose: bool = False


class AttemptError(Exception):
    """Failure of one attempt; another one may succeed."""


class OfflineError(AttemptError):
    """Failure to reach the server at all: no network, or an unknown host name."""


def fetch_file(remote: RemoteFile, options: DownloadOptions) -> str:
    """Download a file unless it is on disk, and check its content.

    Without a published checksum, the checksum at the first use is recorded beside the
    file, in the format of ``sha256sum``, and compared at every later use.

    Parameters
    ----------
    remote : RemoteFile
        The file.
    options : DownloadOptions
        How to fetch it.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    FetchError
        If the file cannot be downloaded or has other content than expected.
    """
    refuse_links(*(_beside(remote.path, ending) for ending in WRITTEN_BESIDE))
    with disk_errors(remote.path):
        if not remote.path.exists():
            if not options.download_if_missing:
                raise FetchError(
                    f"{remote.path} is missing and download_if_missing=False; pass "
                    f"True, or put the file from {remote.address} there."
                )
            remote.path.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(remote.path):
                if not remote.path.exists():  # another process may have been first
                    _download(remote, options)
        return _checked(remote)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise one error for all that a disk refuses, which says what to do."""
    try:
        yield
    except FetchError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FetchError(
            f"{path} could not be written or read ({reason}); make room or give the "
            "rights, or pass another data_home=."
        ) from error


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive file lock where the platform has one."""
    lock = path.with_name(f".{path.name}.lock")
    refuse_links(lock)
    # For reading only: nothing is ever written to it, and where a data home is shared
    # the file may belong to somebody else.
    flags = os.O_RDONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(lock, flags, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def refuse_links(*paths: Path) -> None:
    """Raise if a file that is to be written is a link, which leads elsewhere."""
    for path in paths:
        if path.is_symlink():
            raise FetchError(
                f"{path} is a link and could not be written or read; whoever can write "
                "to the folder may have put it there to have another file overwritten. "
                "Delete it."
            )


def _checked(remote: RemoteFile) -> str:
    """Return the checksum of a file on disk once it is known to be the right one."""
    found = _sha256_of(remote.path)
    record = _beside(remote.path, "sha256")
    expected, origin = remote.sha256, ""
    recorded = record.read_text().split() if record.exists() else []
    if expected is None and recorded:
        expected, origin = recorded[0], f" by {record.name}"
    if expected is None:
        with suppress(OSError):  # a shared folder may be read-only
            record.write_text(f"{found}  {remote.path.name}\n")
    elif found != expected:
        raise FetchError(
            f"{remote.path} has the SHA-256 {found}, but {expected} is "
            f"expected{origin}; delete it to have it fetched anew, or pass checksum= "
            "if its content is right."
        )
    return found


def _download(remote: RemoteFile, options: DownloadOptions) -> None:
    _require_http(remote.url)
    partial = PartialFile(remote)
    try:
        _persist(lambda: _receive_whole(remote, partial, options), partial, options)
    except AttemptError as problem:
        kept = f"; {partial.size} bytes are kept to go on from" if partial.size else ""
        raise FetchError(
            f"{remote.address} could not be fetched ({problem}{kept}); try again, or "
            f"download it by other means and put it at {remote.path}."
        ) from problem
    partial.finish()


def _persist(
    attempt: Callable[[], None], partial: PartialFile, options: DownloadOptions
) -> None:
    """Repeat an attempt until it succeeds or too many in a row brought no new bytes."""
    begun = reached = partial.size
    left = options.n_retries
    while True:
        try:
            return attempt()
        except AttemptError as problem:
            # A connection that breaks often but brings new bytes each time gets
            # through large files, so each progress starts the count again.
            if partial.size > reached:
                reached, left = partial.size, options.n_retries
            # Without a network from the start, waiting would only delay the message;
            # once bytes have arrived, the network is likely to come back.
            offline = isinstance(problem, OfflineError) and reached == begun
            if offline or not left:
                raise
        left -= 1
        time.sleep(options.delay)


class PartialFile:
    """Bytes of a file that have arrived, with the version of the file they are of.

    The version is the server's strong ETag. It is kept in a file of its own, so that
    a later call can still ask for the rest of the same version.
    """

    def __init__(self, remote: RemoteFile) -> None:
        self.path = _beside(remote.path, "part")
        self._tag_path = _beside(remote.path, "part.etag")
        self._target = remote.path
        self._is_checked = remote.sha256 is not None

    @property
    def size(self) -> int:
        """Number of bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def tag(self) -> str:
        """ETag of the version that the bytes are of; empty if unknown."""
        return self._tag_path.read_text() if self._tag_path.exists() else ""

    def headers(self) -> dict[str, str]:
        """Return the request for the rest, if the file on the server has not changed.

        A server where it has changed ignores the range and sends the whole file.
        """
        if not self.tag and not self._is_checked:
            # Neither an ETag nor a checksum would show that the rest is of another
            # version.
            self.discard()
        if not self.size:
            return {}
        condition = {"If-Range": self.tag} if self.tag else {}
        return {"Range": f"bytes={self.size}-", **condition}

    def fits(self, response: Any, start: int) -> bool:
        """Whether a response begins where this ends, in the same version."""
        same_version = _strong_tag(response) in ("", self.tag)
        return start == self.size and same_version

    def restart(self, tag: str) -> None:
        """Begin anew, with a version of the file."""
        self.discard()
        self._tag_path.write_text(tag)

    def append(self, chunks: Iterator[bytes]) -> None:
        """Write each chunk as it arrives: a broken connection keeps those before."""
        with self.path.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)

    def discard(self) -> None:
        """Delete the bytes and their version."""
        self.path.unlink(missing_ok=True)
        self._tag_path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Move the complete file to its place, in one step."""
        self.path.replace(self._target)
        self._tag_path.unlink(missing_ok=True)


def _receive_whole(
    remote: RemoteFile, partial: PartialFile, options: DownloadOptions
) -> None:
    """Receive the missing bytes and check the whole."""
    resumed = partial.size > 0
    _receive(remote, partial, options)
    if remote.sha256 is None:
        return
    found = _sha256_of(partial.path)
    if found == remote.sha256:
        return
    partial.discard()
    if resumed:  # perhaps parts of two versions: the next attempt starts anew
        raise AttemptError("its parts, received one by one, do not fit together")
    raise FetchError(
        f"{remote.address} has the SHA-256 {found}, but {remote.sha256} is expected "
        f"for {remote.path}; nothing is kept. Pass checksum= if that content is right."
    )


def _receive(
    remote: RemoteFile, partial: PartialFile, options: DownloadOptions
) -> None:
    with _opened(remote, partial.headers()) as response:
        start, total = _placed(response)
        out_of_range = response.status == OUT_OF_RANGE
        if out_of_range and partial.size and total == partial.size:
            return  # all had arrived, and the file is the same
        if start == 0:
            partial.restart(_strong_tag(response))
        elif out_of_range or not partial.fits(response, start):
            partial.discard()
            raise AttemptError("the server sent another part than it was asked for")
        with _progress(remote, start, total, options.verbose) as bar:
            left = None if total is None else total - start
            partial.append(_chunks(response, bar, left))
    if total is not None and partial.size != total:
        raise AttemptError(f"{partial.size} of {total} bytes have arrived")


def _opened(remote: RemoteFile, headers: dict[str, str]) -> Any:
    """Return the response: the file, a part of it, or `OUT_OF_RANGE`."""
    # Loaded late: the package is not complete while this module is loaded with it.
    from skl_locus import __version__

    agent = {"User-Agent": f"skl-locus/{__version__}"}
    request = _request(remote, {**agent, **headers})
    try:
        # Made for each request, since it takes the proxies from the environment.
        opener = urllib.request.build_opener(_SafeRedirects)
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == OUT_OF_RANGE:
            return error
        error.close()
        # Not the server's own words, which can repeat an address with its secrets.
        meaning = http.client.responses.get(error.code, "unknown")
        problem = f"HTTP status {error.code}, {meaning}"
        if error.code in TRANSIENT:
            raise AttemptError(problem) from error
        raise FetchError(
            f"{remote.address} could not be fetched: {problem}; pass the right url=, "
            f"or put the file at {remote.path}."
        ) from error
    except FetchError:
        raise
    except (http.client.InvalidURL, UnicodeError) as error:
        raise FetchError(f"{remote.address} is not an address to fetch.") from error
    except (OSError, http.client.HTTPException) as error:
        raise _interruption(error) from error


def _request(remote: RemoteFile, headers: dict[str, str]) -> urllib.request.Request:
    try:
        return urllib.request.Request(remote.url, headers=headers)
    except (ValueError, http.client.InvalidURL) as error:
        raise FetchError(f"{remote.address} is not an address to fetch.") from error


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects that neither leave the web nor give up its encryption."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, *others: Any
    ) -> urllib.request.Request | None:
        new = str(others[-1])
        before, after = req.type, urlsplit(new).scheme
        if after not in SCHEMES or (before == "https" and after != "https"):
            fp.close()
            raise FetchError(
                f"{without_secrets(req.full_url)} redirects to "
                f"{without_secrets(new)}, which is not followed."
            )
        return super().redirect_request(req, fp, code, *others)


def _interruption(error: Exception) -> AttemptError:
    """Return the error for a connection that broke or could not be made."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    cut_off = isinstance(reason, socket.gaierror | ssl.SSLCertVerificationError)
    if cut_off or getattr(reason, "errno", None) in UNREACHABLE:
        return OfflineError(reason)
    return AttemptError(str(reason) or type(reason).__name__)


def _chunks(response: Any, bar: tqdm, left: int | None) -> Iterator[bytes]:
    """Yield the bytes as they come, neither more nor more slowly than they may."""
    begun, received = time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _interruption(error) from error
        if not chunk:
            return
        received += len(chunk)
        if left is not None and received > left:
            raise AttemptError(f"the server sent more than the {left} bytes it said")
        seconds = time.monotonic() - begun
        if seconds > PATIENCE and received < MIN_SPEED * seconds:
            raise AttemptError(f"only {received} bytes came in {seconds:.0f} seconds")
        bar.update(len(chunk))
        yield chunk


def _placed(response: Any) -> tuple[int, int | None]:
    """Return where a response begins in the file, and how long the file is."""
    if response.status not in (http.client.PARTIAL_CONTENT, OUT_OF_RANGE):
        return 0, response.length
    match = CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    start, total = match.groups() if match else (None, None)
    return int(start or -1), int(total) if total else None


def _strong_tag(response: Any) -> str:
    """Return the ETag if it is strong: a weak one (W/) allows other bytes."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else ""


def _require_http(url: str) -> None:
    if not url.startswith(("https://", "http://")):
        shown = without_secrets(url)
        raise ValueError(f"url must begin with https:// or http://, got {shown!r}.")


def _progress(remote: RemoteFile, start: int, total: int | None, verbose: bool) -> tqdm:
    return tqdm(
        desc=remote.path.name,
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        disable=not verbose,
    )


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")
