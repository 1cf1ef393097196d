"""The atlas as a parquet file in the form that Embedding Atlas reads."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd


def parquet_of(atlas: Any) -> bytes:
    """Return the content of the file, one row per model."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_parquet needs pyarrow: pip install 'skl-locus[scale]'.", name="pyarrow"
        ) from error
    columns = {"model": pa.array([str(label) for label in atlas.models.index])}
    for name, values in atlas.models.items():
        columns[str(name)] = pa.array(values, from_pandas=True)
    for task, values in atlas.tasks.items():
        name = f"score on {task}"
        if name in columns:
            raise ValueError(
                f"Two tasks are written {str(task)!r}, such as 1 and '1', and would be "
                "one column of the file; write each task in one way."
            )
        columns[name] = pa.array(values, from_pandas=True)
    columns["neighbors"] = pa.StructArray.from_arrays(
        [
            _lists(neighbor_positions(atlas), pa.int64()),
            _lists(atlas.distances.to_numpy(), pa.float32()),
        ],
        names=["ids", "distances"],
    )
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def neighbor_positions(atlas: Any) -> np.ndarray:
    """Return the neighbours as row numbers: (n_models, n_neighbors)."""
    labels = pd.Index(atlas.neighbors.to_numpy(object).ravel(), dtype=object)
    index = pd.Index(atlas.models.index, dtype=object)
    return index.get_indexer(labels).reshape(atlas.neighbors.shape)


def _lists(values: np.ndarray, kind: Any) -> Any:
    import pyarrow as pa

    n_rows, width = values.shape
    offsets = pa.array(np.arange(0, n_rows * width + 1, width), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), kind))
