import os
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings

# Two training threads wait for each other wherever another process takes a core;
# one thread is nearly as fast on networks of this size.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing that a test loads may come from the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Property tests try the same examples every time, however busy the machine is: neither
# the deadline nor the check that examples are drawn fast may fail them.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

collect_ignore_glob = ["helpers/write_*_logs.py"]
"""Scripts that tests run, with packages that need not be installed."""


def pytest_configure(config):
    """Keep what tests and doctests cache out of the user's data home."""
    config.data_home = tempfile.mkdtemp(prefix="skl-locus-")
    os.environ["SKL_LOCUS_DATA"] = config.data_home


def pytest_unconfigure(config):
    shutil.rmtree(config.data_home, ignore_errors=True)


@pytest.fixture
def set_threads():
    """Set torch's threads until the test ends."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
