"""Dask workers route and embed files, and one that is killed costs time only."""

import os
import signal
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from pyarrow import dataset

import skl_locus
from skl_locus import KMeansRouter

distributed = pytest.importorskip("distributed")
EXAMPLES = str(Path(__file__).parents[2] / "examples" / "scale")
pytestmark = [
    pytest.mark.integration,
    # Dask warns of ports and of workers that were killed.
    pytest.mark.filterwarnings("default"),
]


LONGEST_WAIT = 600
"""Seconds until a killer gives up; the test then fails, since nobody was killed."""


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import dask_embed
    import dask_route

    yield Namespace(embed=dask_embed, route=dask_route)
    for name in ("dask_embed", "dask_route", "workers"):
        sys.modules.pop(name, None)


def kill_one_worker_after_first_part(client, output, n_wanted=1):
    """Kill the process of a worker in the middle of the work; return its id."""
    pids = list(client.run(os.getpid).values())

    def kill():
        # Not before the work has begun, however slowly it does.
        limit = time.time() + LONGEST_WAIT
        while time.time() < limit:
            if len(list(output.glob("*/part-*"))) >= n_wanted:
                os.kill(pids[0], signal.SIGKILL)
                return
            time.sleep(0.005)

    return pids[0], kill


def test_a_killed_worker_loses_nothing(client, examples, log, tmp_path):
    router = KMeansRouter(3, random_state=0).fit(log, log["score"])
    skl_locus.save(router, tmp_path / "saved.sklocus")
    rng = np.random.default_rng(0)
    source = tmp_path / "in"
    source.mkdir()
    vectors = rng.normal(size=(16, 30_000, 16)).astype(np.float32)
    for number, matrix in enumerate(vectors):
        cells = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), 16)
        ids = np.arange(len(matrix)) + number * len(matrix)
        table = pa.table({"query_id": ids, "query": cells})
        dataset.write_dataset(
            table,
            source,
            format="parquet",
            basename_template=f"{number:02d}-{{i}}.parquet",
            existing_data_behavior="overwrite_or_ignore",
        )
    output = tmp_path / "out"
    options = Namespace(
        saved=str(tmp_path / "saved.sklocus"), source=source, output=output
    )
    pid, kill = kill_one_worker_after_first_part(client, output)
    killer = threading.Thread(target=kill)
    killer.start()
    folders = examples.route.run(client, options)
    killer.join()
    assert len(folders) == 16
    found = dataset.dataset([str(p) for f in folders for p in Path(f).glob("part-*")])
    table = found.to_table().to_pandas().sort_values("query_id")
    assert table["query_id"].tolist() == list(range(480_000))
    expected = router.route(vectors.reshape(-1, 16))
    assert (table["model"].to_numpy() == expected).all()
    # The nanny has started another worker in the place of the one that was killed.
    assert pid not in client.run(os.getpid).values()


def test_models_are_embedded_file_by_file(
    client, examples, embedder, log, queries, tmp_path
):
    skl_locus.save(embedder, tmp_path / "saved.sklocus")
    source = tmp_path / "in"
    source.mkdir()
    by_id = log[["model", "query_id", "score"]]
    for model, rows in by_id.groupby("model"):
        rows.to_parquet(source / f"{model}.parquet")
    pa.parquet.write_table(queries, tmp_path / "queries.parquet")
    options = Namespace(
        saved=str(tmp_path / "saved.sklocus"),
        source=source,
        output=tmp_path / "out",
        queries=str(tmp_path / "queries.parquet"),
    )
    folders = examples.embed.run(client, options)
    paths = [str(path) for folder in folders for path in Path(folder).glob("part-*")]
    table = dataset.dataset(paths).to_table().to_pandas().sort_values("model")
    expected = embedder.transform(log)
    assert table["model"].tolist() == expected.index.tolist()
    assert_allclose(np.stack(table["embedding"]), expected, atol=1e-5)


def test_searches_run_on_the_cluster(client, log):
    import joblib
    from sklearn.model_selection import GridSearchCV, cross_val_score

    from skl_locus.model_selection import QueryKFold

    rows = log[["model", "query", "query_id"]]
    search = GridSearchCV(
        KMeansRouter(random_state=0), {"n_clusters": [2, 4]}, cv=QueryKFold(3)
    )
    plain = search.fit(rows, log["score"]).cv_results_["mean_test_score"]
    scores = cross_val_score(search.estimator, rows, log["score"], cv=QueryKFold(3))
    with joblib.parallel_config(backend="dask"):
        found = search.fit(rows, log["score"]).cv_results_["mean_test_score"]
        again = cross_val_score(search.estimator, rows, log["score"], cv=QueryKFold(3))
    assert_allclose(found, plain)
    assert_allclose(again, scores)
