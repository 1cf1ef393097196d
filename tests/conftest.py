import os
import shutil
import tempfile
from functools import cache
from importlib.util import find_spec

import pytest

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:
    settings = None

# Two training threads wait for each other wherever another process takes a core;
# one thread is nearly as fast on networks of this size.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing that a test loads may come from the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# Property tests try the same examples every time, however busy the machine is: neither
# the deadline nor the check that examples are drawn fast may fail them.
if settings is not None:
    settings.register_profile(
        "steady",
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def small_fits_on_the_accelerator():
    """With SKL_LOCUS_TEST_DEVICE=auto, let small fits of "auto" take it as well."""
    if os.environ.get("SKL_LOCUS_TEST_DEVICE") != "auto":
        yield
        return
    from skl_locus._torch import device

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "LEAST_STEP", 0)
        patch.setattr(device, "LEAST_WORK", 0)
        yield


EXTRAS = {
    "backports",
    "click",
    "distributed",
    "fastapi",
    "httpx",
    "hypothesis",
    "litellm",
    "matplotlib",
    "numpydoc",
    "polars",
    "prometheus_client",
    "pyarrow",
}
"""Packages of the extra "test" without which the rest of the suite still runs."""

collect_ignore_glob = ["helpers/write_*_logs.py"]
"""Scripts that tests run, with packages that need not be installed."""


def pytest_configure(config):
    """Keep what tests and doctests cache out of the user's data home."""
    config.data_home = tempfile.mkdtemp(prefix="skl-locus-")
    os.environ["SKL_LOCUS_DATA"] = config.data_home


def pytest_unconfigure(config):
    shutil.rmtree(config.data_home, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Skip a module that needs a package of `EXTRAS` that is not installed."""
    report = yield
    missing = missing_extra(getattr(report, "call", None))
    if missing is not None:
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {missing} is missing")
    return report


def missing_extra(call):
    """Find the package of `EXTRAS` whose import made a collection fail, or None."""
    error = call.excinfo.value if call is not None and call.excinfo else None
    while error is not None:
        # Modules report what their import raised, doctests raise it themselves.
        name = (getattr(error, "name", None) or "").split(".")[0]
        if isinstance(error, ModuleNotFoundError) and name in EXTRAS:
            return name
        error = error.__cause__ or error.__context__
    return None


def pytest_collection_modifyitems(items):
    """Skip what cannot run here: examples without their extra, CUDA without a GPU."""
    for item in items:
        example = getattr(getattr(item, "dtest", None), "docstring", None) or ""
        for name in sorted(EXTRAS):
            if f">>> import {name}" in example and find_spec(name) is None:
                item.add_marker(pytest.mark.skip(reason=f"{name} is missing"))
        if item.get_closest_marker("cuda") and not has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@cache
def has_cuda():
    """Return whether torch finds a CUDA device."""
    import torch

    return torch.cuda.is_available()


@pytest.fixture
def set_threads():
    """Set torch's threads until the test ends."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
