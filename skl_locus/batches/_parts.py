"""Folders of parquet files that a killed run can continue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skl_locus._data.streams import to_batch
from skl_locus._utils.files import new_file
from skl_locus.batches._identity import same_job

JOB_KEY = b"skl_locus.job"
"""Entry of a part's metadata with what it was made by, as JSON."""

FINISHED = "_finished.json"
"""File that is written last. Readers of parquet folders skip names that begin so."""


def write_parts(
    results: Iterable[Any], folder: str | Path, *, batches_per_part: int = 16
) -> list[Path]:
    """Write a stream of results to parquet files, and continue where a run was killed.

    Each file appears whole or not at all. A second run with the same arguments finds
    the finished files, reads over their input without computing anything, and makes
    the rest: the folder then has the bytes that an undisturbed run would have written.

    Parameters
    ----------
    results : ResultStream or iterable of dataframes or batches
        What one of the functions of this folder returns. The results of other iterables
        are computed again by a second run, and only not written again.
    folder : path
        Folder, which is made if there is none. One run at a time writes to it.
    batches_per_part : int, default=16
        Number of record batches in a file. A killed run loses the work of one file.

    Returns
    -------
    list of Path
        The files, ``part-00000.parquet`` and so on.

    Raises
    ------
    ValueError
        If the folder holds parts of another job (another router, other arguments or
        another input), naming the first.
    OSError
        If a part cannot be written, such as to a full disk, or read, naming it.
        Finished parts stay.

    Examples
    --------
    >>> import tempfile
    >>> from skl_locus import BestSingleRouter
    >>> from skl_locus.batches import route_batches, write_parts
    >>> from skl_locus.datasets import make_evaluations
    >>> pool = make_evaluations(n_models=4, n_queries=30, random_state=0)
    >>> log = pool.evaluations
    >>> router = BestSingleRouter().fit(log, log["score"])
    >>> queries = log[log["model"] == "model-0"].drop(columns=["model", "score"])
    >>> folder = tempfile.TemporaryDirectory()
    >>> decisions = route_batches(router, queries, batch_size=10)
    >>> parts = write_parts(decisions, folder.name, batches_per_part=2)
    >>> [part.name for part in parts]
    ['part-00000.parquet', 'part-00001.parquet']
    >>> folder.cleanup()
    """
    if batches_per_part < 1:
        raise ValueError(
            f"batches_per_part must be at least 1, got {batches_per_part!r}."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    job = {**getattr(results, "job", {}), "batches_per_part": batches_per_part}
    job = json.loads(json.dumps(job, default=str))  # as it is read again
    finished = _read_finished(folder, job)
    if finished is not None:
        return _paths(folder, finished["n_parts"])
    steps = _Steps(results)
    number = n_rows = 0
    while True:
        path = _path(folder, number)
        if path.exists():
            n_written: int | None = _skip_part(path, steps, job)
        else:
            n_written = _write_part(path, steps, job, batches_per_part)
        if n_written is None:
            break
        number, n_rows = number + 1, n_rows + n_written
    done = {"job": job, "n_parts": number, "n_rows": n_rows}
    with new_file(folder / FINISHED) as file:
        file.write(json.dumps(done, indent=1).encode())
    return _paths(folder, number)


class _Steps:
    """A stream of results, of which steps are computed or skipped.

    Attributes
    ----------
    n_read : int
        Rows of the input so far; of the results, where the input is not known.
    error : Exception or None
        What has ended the stream, as opposed to what ended the writing.
    """

    def __init__(self, results: Iterable[Any]) -> None:
        self._results: Iterator[Any] = iter(results)
        self.n_read = 0
        self.error: BaseException | None = None

    def compute(self) -> Any:
        """Return the next record batch; None at the end."""
        try:
            result = next(self._results, None)
        except BaseException as error:
            self.error = error
            raise
        if result is None:
            return None
        batch = to_batch(result)
        self.n_read += getattr(self._results, "n_last", len(batch))
        return batch

    def skip(self) -> bool:
        """Read over the next one; return whether there was one."""
        if not hasattr(self._results, "skip"):
            return self.compute() is not None
        try:
            self.n_read += self._results.skip()
        except StopIteration:
            return False
        return True


def _write_part(
    path: Path, steps: _Steps, job: dict[str, Any], n_batches: int
) -> int | None:
    """Write the next results to a file; return their rows, None at the end."""
    from pyarrow import parquet

    start = steps.n_read
    batch = steps.compute()
    if batch is None:
        return None
    n_done = n_rows = 0
    try:
        with (
            new_file(path) as file,
            parquet.ParquetWriter(file, batch.schema) as writer,
        ):
            while batch is not None:
                writer.write_batch(batch)
                n_done, n_rows = n_done + 1, n_rows + len(batch)
                batch = steps.compute() if n_done < n_batches else None
            made = {
                "job": job,
                "n_batches": n_done,
                "n_rows": n_rows,
                "n_read": steps.n_read - start,
            }
            writer.add_key_value_metadata({JOB_KEY: json.dumps(made).encode()})
    except OSError as error:
        # A file of the input that cannot be read has named itself.
        if error is steps.error:
            raise
        raise OSError(
            error.errno, f"Part {path} could not be written: {error}"
        ) from error
    return n_rows


def _skip_part(path: Path, steps: _Steps, job: dict[str, Any]) -> int:
    """Read over the input of a finished file; return the rows of the file."""
    made = _made_by(path)
    if not same_job(made.get("job"), job):
        raise ValueError(
            f"Part {path} was made by another job (another router, other arguments or "
            "another input); choose an empty folder, or delete its parts."
        )
    start = steps.n_read
    complete = all(steps.skip() for _ in range(made["n_batches"]))
    if not complete or steps.n_read - start != made["n_read"]:
        raise ValueError(
            f"Part {path} was made from {made['n_read']} rows of input, of which "
            f"{steps.n_read - start} are there now: the input has changed. Choose an "
            "empty folder, or delete its parts."
        )
    return made["n_rows"]


def _made_by(path: Path) -> dict[str, Any]:
    """Read what a finished file was made by."""
    from pyarrow import parquet

    try:
        metadata = parquet.read_metadata(path).metadata or {}
    except (OSError, ValueError) as error:
        raise OSError(
            f"Part {path} cannot be read; delete it to have it made again: {error}"
        ) from error
    return json.loads(metadata.get(JOB_KEY, b"{}"))


def _read_finished(folder: Path, job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the report of a finished run; None if there is none."""
    path = folder / FINISHED
    if not path.exists():
        return None
    finished = json.loads(path.read_text())
    if not same_job(finished["job"], job):
        raise ValueError(
            f"The folder {folder} holds the results of another job (another router, "
            "other arguments or another input); choose an empty folder."
        )
    lost = [p for p in _paths(folder, finished["n_parts"]) if not p.exists()]
    # A part that somebody has deleted is made again.
    return None if lost else finished


def _paths(folder: Path, n_parts: int) -> list[Path]:
    return [_path(folder, number) for number in range(n_parts)]


def _path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"
