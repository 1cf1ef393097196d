"""Public evaluation logs, downloaded once and then read from disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pandas as pd

from skl_locus._utils.validation import check_at_least
from skl_locus.datasets._archives import unpack
from skl_locus.datasets._base import get_data_home
from skl_locus.datasets._download import (
    DownloadOptions,
    RemoteFile,
    disk_errors,
    fetch_file,
    without_secrets,
)
from skl_locus.datasets._readers._builder import Scale
from skl_locus.datasets._readers._embedllm import SPLITS, read_embedllm
from skl_locus.datasets._readers._llmrouterbench import read_llmrouterbench
from skl_locus.datasets._readers._routerbench import PICKLES, read_routerbench

EMBEDLLM = (
    "https://huggingface.co/datasets/RZ412/EmbedLLM/resolve/"
    "8be1e72f1853f93c694eda362ab85ea39314f21a"
)
"""Folder of EmbedLLM's csv files, in the revision that has all of them."""

ROUTERBENCH = (
    "https://huggingface.co/datasets/withmartian/routerbench/resolve/"
    "a4dcf98b60f1faf85c572ee5f20cc0069ca0501a/routerbench_{version}.pkl"
)
"""The tables of RouterBench, by version."""

LLMROUTERBENCH = (
    "https://huggingface.co/datasets/NPULH/LLMRouterBench/resolve/"
    "0e5af1b84bf73437a01a1849c0f1d2468baa93fc/bench-release.tar.gz"
)
"""The archive of LLMRouterBench's results."""

VERSIONS = ("0shot", "5shot")
"""Tables of RouterBench that have one row per prompt."""

MODEL_NAMES = "model_order.csv"
"""Names of EmbedLLM's models, for rows that have only their numbers."""

LONGEST_NAME = 200
"""Letters of the name of a file; disks take some 255, and endings are added."""

MAX_BYTES = 2**35
"""Limit for an unpacked archive; that of LLMRouterBench has 1.3 GB packed."""

PUBLISHED_CHECKSUMS = {
    "train.csv": "4ac81ebe312d2ca0290c78774ddc5f5852acb66cd10d28738efcb2a0dbd8e247",
    "val.csv": "802f312809e7c7086233510b3c1e12619ab72051e06664ebb8bff24cf0f67fce",
    "routerbench_0shot.pkl": (
        "ba4f77f19517610a707c374e99322d7750c30fc4ae7ff5527888595a1e65d36d"
    ),
    "routerbench_5shot.pkl": (
        "fbd7d3d16fba2759a18fa0ad44409d3e0e92ba80d03d90827eed1a6d084c9ffe"
    ),
    "bench-release.tar.gz": (
        "b79f8cde1a6f029c2efa663a3a3b6f7748defb22341fe59f328cebef6648c8f1"
    ),
}
"""SHA-256 of the files in these revisions, as the hosts publish them."""

_CHECKSUM = re.compile("[0-9a-f]{64}")


def fetch_embedllm(
    *,
    splits: tuple[str, ...] = SPLITS,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    url: str | None = None,
    checksum: Mapping[str, str] | None = None,
    n_retries: int = 3,
    delay: float = 1.0,
    duplicates: str = "mean",
    errors: str = "raise",
    verbose: bool = False,
) -> pd.DataFrame:
    """Download the data of EmbedLLM where needed, and read them.

    112 models on some 36,000 prompts (Zhuang et al., 2024, arXiv:2410.02223); the
    training file has 2.7 GB, the others 0.3 GB each. A download that breaks off goes
    on from where it was, in the same call or the next.

    Parameters
    ----------
    splits : tuple of str, default=("train", "val", "test")
        Which files to fetch and read.
    data_home : str or path-like, default=None
        The files are kept in its folder ``embedllm``; see
        :func:`~skl_locus.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download files that are not there; if not, it is an error.
    url : str, default=None
        Address of another folder with the files, such as a mirror.
    checksum : mapping of str to str, default=None
        SHA-256 by file name, where it is another than the published one or none is
        (see Notes).
    n_retries : int, default=3
        Attempts in a row, after the first one, that may bring nothing new.
    delay : float, default=1.0
        Seconds between two attempts.
    duplicates, errors
        As in :func:`read_embedllm`.
    verbose : bool, default=False
        Whether to show the progress.

    Returns
    -------
    evaluations : DataFrame
        As of :func:`read_embedllm`.

    Raises
    ------
    FetchError
        If a file cannot be had or has another content than expected.
    LogFormatError
        If a file or row cannot be used.

    Notes
    -----
    Each call compares the SHA-256 of every file. It is published for ``train.csv`` and
    ``val.csv``. For ``test.csv`` and ``model_order.csv`` it is recorded at the first
    use, in a file beside them, and must be the same at later ones: this finds later
    damage, not an error of the first download.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from skl_locus.datasets import fetch_embedllm
    >>> rows = pd.DataFrame({
    ...     "prompt_id": [0], "model_id": [1], "model_name": ["a"], "label": [1],
    ...     "prompt": ["7 * 8?"], "category": ["sums"],
    ... })
    >>> names = pd.DataFrame({"model_id": [1], "model_name": ["a"]})
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = os.path.join(home, "embedllm")
    ...     os.mkdir(folder)
    ...     rows.to_csv(os.path.join(folder, "test.csv"), index=False)
    ...     names.to_csv(os.path.join(folder, "model_order.csv"), index=False)
    ...     fetch_embedllm(splits=("test",), data_home=home, download_if_missing=False)
      model   query query_id  score  task
    0     a  7 * 8?        0    1.0  sums
    """
    options = _download_options(download_if_missing, n_retries, delay, verbose)
    unknown = set(splits) - set(SPLITS)
    if unknown or isinstance(splits, str) or not splits:
        raise ValueError(f"splits must be some of {SPLITS}, got {splits!r}.")
    folder = _home(data_home) / "embedllm"
    base = (url or EMBEDLLM).rstrip("/")
    for name in (MODEL_NAMES, *(f"{split}.csv" for split in splits)):
        given = (checksum or {}).get(name)
        fetch_file(_remote(f"{base}/{name}", folder, given), options)
    return read_embedllm(
        folder,
        splits=tuple(splits),
        duplicates=duplicates,
        errors=errors,
        verbose=verbose,
    )


def fetch_routerbench(
    *,
    version: str = "0shot",
    allow_pickle: bool = False,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    url: str | None = None,
    checksum: str | None = None,
    n_retries: int = 3,
    delay: float = 1.0,
    scale: Scale = None,
    errors: str = "raise",
    verbose: bool = False,
) -> pd.DataFrame:
    """Download a table of RouterBench where needed, and read it.

    11 models on some 36,000 prompts, with costs (Hu et al., 2024, arXiv:2403.12031); a
    file of 0.1 to 0.2 GB. A download that breaks off goes on from where it was, in the
    same call or the next.

    Parameters
    ----------
    version : {"0shot", "5shot"}, default="0shot"
        Which table.
    allow_pickle : bool, default=False
        Whether a pickle may be loaded, which runs whatever code is in it. It is the
        only form in which RouterBench is published: without it, pass the ``url`` of a
        csv or parquet file that somebody you trust has made of it.
    data_home : str or path-like, default=None
        The file is kept in its folder ``routerbench``; see
        :func:`~skl_locus.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download a file that is not there; if not, it is an error.
    url : str, default=None
        Address of another file, such as a copy on a mirror. It is kept under the last
        part of its path.
    checksum : str, default=None
        SHA-256 of the file, where it is another than the published one or none is
        (see Notes).
    n_retries : int, default=3
        Attempts in a row, after the first one, that may bring nothing new.
    delay : float, default=1.0
        Seconds between two attempts.
    scale, errors
        As in :func:`read_routerbench`.
    verbose : bool, default=False
        Whether to show the progress.

    Returns
    -------
    evaluations : DataFrame
        As of :func:`read_routerbench`.

    Raises
    ------
    FetchError
        If the file cannot be had or has another content than expected.
    LogFormatError
        If the file or a row cannot be used.

    Notes
    -----
    Each call compares the SHA-256 of the file, before anything of it is loaded. It is
    published for both versions. For a file of another name, without ``checksum``, it is
    recorded at the first use, in a file beside it, and must be the same at later ones:
    this finds later damage, not an error of the first download.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from skl_locus.datasets import fetch_routerbench
    >>> table = pd.DataFrame({
    ...     "sample_id": ["sums.0"], "prompt": ["['7 * 8?']"], "eval_name": ["sums"],
    ...     "small": [0.0], "small|total_cost": [0.001],
    ... })
    >>> with tempfile.TemporaryDirectory() as home:
    ...     path = os.path.join(home, "routerbench", "table.csv")
    ...     os.mkdir(os.path.dirname(path))
    ...     table.to_csv(path, index=False)
    ...     fetch_routerbench(url="https://example.org/table.csv", data_home=home)
       model   query query_id  score  task   cost
    0  small  7 * 8?   sums.0    0.0  sums  0.001
    """
    options = _download_options(download_if_missing, n_retries, delay, verbose)
    if version not in VERSIONS:
        raise ValueError(f"version must be one of {VERSIONS}, got {version!r}.")
    folder = _home(data_home) / "routerbench"
    remote = _remote(url or ROUTERBENCH.format(version=version), folder, checksum)
    if remote.path.suffix.lower() in PICKLES and not allow_pickle:
        raise ValueError(
            f"{remote.path.name} is a pickle, and loading one runs whatever code is in "
            "it; pass allow_pickle=True if you trust its origin, or the url= of a csv "
            "or parquet file."
        )
    fetch_file(remote, options)
    return read_routerbench(
        remote.path, allow_pickle=allow_pickle, scale=scale, errors=errors
    )


def fetch_llmrouterbench(
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    url: str | None = None,
    checksum: str | None = None,
    n_retries: int = 3,
    delay: float = 1.0,
    max_bytes: int = MAX_BYTES,
    scale: Scale = None,
    errors: str = "raise",
    verbose: bool = False,
) -> pd.DataFrame:
    """Download the results of LLMRouterBench where needed, and read them.

    33 models on 21 data sets, with costs (Li et al., 2026, arXiv:2601.07206); an
    archive of 1.3 GB. A download that breaks off goes on from where it was, in the same
    call or the next.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The archive is kept in its folder ``llmrouterbench``, and unpacked there; see
        :func:`~skl_locus.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download an archive that is not there; if not, it is an error.
    url : str, default=None
        Address of another archive, such as a copy on a mirror. It is kept under the
        last part of its path.
    checksum : str, default=None
        SHA-256 of the archive, where it is another than the published one or none is
        (see Notes).
    n_retries : int, default=3
        Attempts in a row, after the first one, that may bring nothing new.
    delay : float, default=1.0
        Seconds between two attempts.
    max_bytes : int, default=2**35
        Archives whose JSON files would be larger than this together are refused.
        Nothing else is unpacked, and nothing whose path leads elsewhere.
    scale, errors
        As in :func:`read_llmrouterbench`.
    verbose : bool, default=False
        Whether to show the progress of the download.

    Returns
    -------
    evaluations : DataFrame
        As of :func:`read_llmrouterbench`.

    Raises
    ------
    FetchError
        If the archive cannot be had or has another content than expected.
    LogFormatError
        If the archive, a file or a record cannot be used.

    Notes
    -----
    Each call compares the SHA-256 of the archive; that of the files once unpacked is
    not known. It is published for the archive of the default address. For one of
    another name, without ``checksum``, it is recorded at the first use, in a file
    beside it, and must be the same at later ones: this finds later damage, not an error
    of the first download.

    Examples
    --------
    >>> import io, os, tarfile, tempfile
    >>> from skl_locus.datasets import fetch_llmrouterbench
    >>> run = b'{"records": [{"origin_query": "7 * 8?", "score": 1.0}]}'
    >>> member = tarfile.TarInfo("bench/sums/test/small/20250101_120000.json")
    >>> member.size = len(run)
    >>> with tempfile.TemporaryDirectory() as home:
    ...     path = os.path.join(home, "llmrouterbench", "mine.tar.gz")
    ...     os.mkdir(os.path.dirname(path))
    ...     with tarfile.open(path, "w:gz") as archive:
    ...         archive.addfile(member, io.BytesIO(run))
    ...     fetch_llmrouterbench(url="https://example.org/mine.tar.gz", data_home=home)
       model   query  score  task
    0  small  7 * 8?    1.0  sums
    """
    options = _download_options(download_if_missing, n_retries, delay, verbose)
    check_at_least(max_bytes, "max_bytes")
    folder = _home(data_home) / "llmrouterbench"
    remote = _remote(url or LLMROUTERBENCH, folder, checksum)
    found = fetch_file(remote, options)
    unpacked = unpack(remote.path, found, suffix=".json", max_bytes=max_bytes)
    return read_llmrouterbench(unpacked, scale=scale, errors=errors)


def _home(data_home: str | os.PathLike | None) -> Path:
    with disk_errors(Path(data_home or "The data home")):
        return Path(get_data_home(data_home))


def _download_options(
    download_if_missing: bool, n_retries: int, delay: float, verbose: bool
) -> DownloadOptions:
    check_at_least(n_retries, "n_retries", 0)
    if not delay >= 0:
        raise ValueError(f"delay must not be negative, got {delay!r}.")
    return DownloadOptions(download_if_missing, n_retries, delay, verbose)


def _remote(url: str, folder: Path, checksum: str | None) -> RemoteFile:
    """Return the file at an address, named by the end of its path.

    Its checksum is the one given, else the one published for the name, if any.
    """
    try:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
    except ValueError:  # such as a bracket that is not closed
        name = ""
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        shown = without_secrets(url)
        raise ValueError(f"url must end with the name of a file, got {shown!r:.200}.")
    if checksum is None:
        return RemoteFile(url, folder / name, PUBLISHED_CHECKSUMS.get(name))
    expected = checksum.lower()
    if not _CHECKSUM.fullmatch(expected):
        raise ValueError(
            f"checksum of {name} must be a SHA-256 in 64 hexadecimal digits, got "
            f"{checksum!r}."
        )
    return RemoteFile(url, folder / name, expected)
