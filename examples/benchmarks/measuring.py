"""How the speed benchmarks measure: alternation, memory, arithmetic, the machine."""

import argparse
import json
import multiprocessing
import os
import platform
import re
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

MEBI = 2**20
PEAK_SIZE = 2048
PEAK_REPEATS = 7


def parse_options(description, arguments=None):
    """Read the options that all rows share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/results/speed"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a minute: smaller sizes")
    parser.add_argument("--smoke", action="store_true", help="seconds: tiny sizes")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="*",
        default=[],
        help="folders with logs, for the fits (fit.py)",
    )
    options = parser.parse_args(arguments)
    if options.smoke:
        options.repeats = 1
    return options


def sized(options, full, quick, smoke):
    """Choose a size by the options."""
    if options.smoke:
        return smoke
    return quick if options.quick else full


def alternate(works, repeats):
    """Run works in turn, after one round that warms up; return seconds of each."""
    seconds = {name: [] for name in works}
    for round_ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_memory(prepare, name, options):
    """Run one of the works that ``prepare(options)`` returns in a fresh process.

    Returns MiB of its largest resident set above that before the work began: VmHWM of
    /proc, which is set back before the work. None where there is no such file.
    """
    process = multiprocessing.get_context("spawn").Pool(1)
    try:
        return process.apply(_peak_of, (prepare, name, options))
    finally:
        process.close()
        process.join()


def _peak_of(prepare, name, options):
    work = prepare(options)[name]
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before
    except OSError:
        return None


def _status(field):
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) / 1024


def count_flops(work):
    """Count the floating-point operations of the matrix products that torch does."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(
        display=False, custom_mapping={attention: _attention_flops}
    )
    # It sees the thread that asks alone: no other one may take work.
    with threadpool_limits(1), counter:
        work()
    return counter.get_total_flops()


def _attention_flops(query, key, value, *_, out_shape=None, **__):
    return sdpa_flop_count(query, key, value)


def report(options, name, work, seconds, *, flops=None, peaks=None, **more):
    """Write one row as JSON: seconds of both forms, their ratio and what is known."""
    row = {
        "work": work,
        "forms": {
            form: {
                "seconds": times,
                "median": float(np.median(times)),
                "spread": [min(times), max(times)],
                **({"gflops": flops[form] / np.median(times) / 1e9} if flops else {}),
                **({"extra_mib": peaks[form]} if peaks else {}),
            }
            for form, times in seconds.items()
        },
        **more,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{name}.json"
    path.write_text(json.dumps(row, indent=1) + "\n")
    medians = {form: values["median"] for form, values in row["forms"].items()}
    print(f"{work}: {', '.join(f'{k} {v:.4g} s' for k, v in medians.items())}")


def machine():
    """Describe the machine, with the rate of a large float32 matrix product."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "matrix_product_gflops": _matrix_product_gflops(),
    }


def _cpu_model():
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*: (.*)", text)
    return found[1] if found else platform.processor()


def _matrix_product_gflops():
    a = torch.randn(PEAK_SIZE, PEAK_SIZE)
    seconds = alternate({"product": lambda: a @ a}, PEAK_REPEATS)["product"]
    return 2 * PEAK_SIZE**3 / min(seconds) / 1e9
