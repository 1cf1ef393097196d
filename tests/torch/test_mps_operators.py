"""Every operator of training and inference exists on Apple's GPUs.

Checked without one, by the list from which torch is built. It comes with torch.
"""

import re
from pathlib import Path

import pytest
import torch
import torchgen
from logs import make_log
from small import SMALL
from torch.utils._python_dispatch import TorchDispatchMode
from yaml import CSafeLoader, load

from skl_locus import LocusRouter
from skl_locus._evidence.packed import MAX_LOGIT
from skl_locus._torch import fit_locus
from skl_locus._torch.device_pool import DevicePool

LIST = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
OF_CPU = re.compile("_for_cpu(_backward)?$")
"""Attention, for which torch takes an operator of the device at hand."""


@pytest.fixture(scope="module")
def functions():
    entries = load(LIST.read_text(encoding="utf-8"), CSafeLoader)
    return {entry["func"].split("(")[0]: entry for entry in entries}


class Operators(TorchDispatchMode):
    """Remembers the operators that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(str(function).removeprefix("aten.").removesuffix(".default"))
        return function(*args, **(kwargs or {}))


def exists_on_mps(name, functions):
    entry = functions[name]
    # A structured operator has the kernels of the one that writes to an argument.
    entry = functions.get(entry.get("structured_delegate"), entry)
    kernels = entry.get("dispatch")
    # Without any, the operator is made of others on every device.
    return kernels is None or any(
        "MPS" in devices or devices.startswith("Composite") for devices in kernels
    )


def test_training_and_embedding(functions, monkeypatch):
    # Dispatch modes belong to one thread.
    monkeypatch.setattr(fit_locus, "PARTS_OF_STEP", 1)
    log = make_log(0)
    with Operators() as used:
        LocusRouter(**{**SMALL, "dropout": 0.1}).fit(log, log.score)
    names = {name for name in used.names if not OF_CPU.search(name)}
    assert {"_fused_adamw_", "native_layer_norm_backward"} <= names
    assert [name for name in sorted(names) if not exists_on_mps(name, functions)] == []


def test_large_blocks(functions):
    log = make_log(0)
    pool = LocusRouter(**SMALL).fit(log, log.score)._pool
    copies = DevicePool.of(
        pool.predictor, pool.packed_evidence, MAX_LOGIT, torch.device("cpu")
    )
    with Operators() as used:
        copies.correctness(torch.zeros(6, 16).numpy(), torch.arange(2).numpy())
    assert "addmm" in used.names
    missing = [n for n in sorted(used.names) if not exists_on_mps(n, functions)]
    assert missing == []


def test_an_operator_that_is_missing_would_be_noticed(functions):
    assert not exists_on_mps("linalg_eig", functions)
