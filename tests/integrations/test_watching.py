"""A service that is watched: its decisions in the log, the metrics and the report."""

import numpy as np
import pandas as pd
import pytest
from stand_in_models import StandInModel

from skl_locus import KMeansRouter
from skl_locus.datasets import read_decisions
from skl_locus.inspection import feedback_report
from skl_locus.integrations import DecisionLog, RoutingMetrics, RoutingService


@pytest.fixture
def router():
    rng = np.random.default_rng(0)
    texts = [f"query {i}" for i in range(60)]
    log = pd.DataFrame({"model": np.repeat(["a", "b"], 60), "query": texts * 2})
    router = KMeansRouter(3, encoder=StandInModel(0), random_state=0)
    return router.fit(log, rng.integers(0, 2, 120))


def test_every_decision_is_counted_and_written_once(router, tmp_path):
    client = pytest.importorskip("prometheus_client", reason="of the extra 'metrics'")
    registry = client.CollectorRegistry()
    path = tmp_path / "decisions.jsonl"
    texts = [f"request {i}" for i in range(30)]
    with DecisionLog(path) as log:
        observers = [log, RoutingMetrics(registry)]
        service = RoutingService(router, observers=observers)
        decisions = [
            service.decide_sync(text, request_id=str(i)) for i, text in enumerate(texts)
        ]
        assert service.decide_sync([]).declined == "no_text"
        service.close()
    table = read_decisions(path, errors="raise")
    assert len(table) == 31
    own = table[table["model"].notna()].set_index("request_id").loc[map(str, range(30))]
    assert own["model"].tolist() == [d.chosen for d in decisions]
    assert own["probability"].tolist() == [d.probability for d in decisions]
    # The digest is the one by which the router knows the text.
    keys = router._read_queries(texts).keys("query", is_id=False)
    assert own["digest"].tolist() == [key.ljust(16, b"\0").hex() for key in keys]
    counted = {
        model: registry.get_sample_value(
            "skl_locus_route_requests_total", {"model": model}
        )
        for model in own["model"].unique()
    }
    assert counted == own["model"].value_counts().to_dict()
    declined = registry.get_sample_value(
        "skl_locus_route_declined_total", {"reason": "no_text"}
    )
    assert declined == 1
    assert registry.get_sample_value("skl_locus_pool_models") == 2
    report = feedback_report(table, {str(i): i % 2 for i in range(30)})
    assert report.models.loc["all", "n"] == 30
    assert report.n_decisions == 30
