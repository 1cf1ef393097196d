"""A small log in memory and on the disk, and estimators for it."""

import numpy as np
import pytest
from small import SMALL
from small_streams import write_files

from skl_locus import LocusEmbedder, LocusRouter

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
N_MODELS, N_QUERIES, N_FEATURES = 8, 90, 16


@pytest.fixture(scope="session")
def queries():
    """A table of ids and vectors."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_QUERIES, N_FEATURES)).astype(np.float32)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), N_FEATURES)
    ids = [f"q{i:03d}" for i in range(N_QUERIES)]
    return pa.table({"query_id": ids, "query": cells})


@pytest.fixture(scope="session")
def vectors(queries):
    return np.stack(queries.to_pandas()["query"])


@pytest.fixture(scope="session")
def log(queries, vectors):
    """Evaluations with a vector in each row, sorted by model; some are missing."""
    rng = np.random.default_rng(1)
    traits = vectors @ rng.normal(size=(N_FEATURES, N_MODELS))
    scores = (rng.random(traits.shape) < 1 / (1 + np.exp(-traits))).astype(float)
    table = queries.to_pandas()
    table = table.loc[np.tile(np.arange(N_QUERIES), N_MODELS)].reset_index(drop=True)
    table["model"] = np.repeat([f"m{i}" for i in range(N_MODELS)], N_QUERIES)
    table["score"] = scores.T.ravel()
    return table[rng.random(len(table)) < 0.9].reset_index(drop=True)


@pytest.fixture(scope="session")
def router(log):
    return LocusRouter(**SMALL).fit(log, log["score"])


@pytest.fixture(scope="session")
def embedder(log):
    return LocusEmbedder(**SMALL).fit(log)


@pytest.fixture
def folder(log, tmp_path):
    """The log as three files, in which models continue."""
    return write_files(log, tmp_path / "log", 250)


@pytest.fixture
def query_folder(queries, tmp_path):
    """The queries as four files."""
    return write_files(queries.to_pandas(), tmp_path / "queries", 25)
