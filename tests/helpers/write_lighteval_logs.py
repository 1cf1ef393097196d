"""Run as a script: let lighteval write details of its dummy model."""

import json
import sys
import types
from pathlib import Path

import huggingface_hub
import requests

# The list of all tasks, of which none but our own runs, asks the web at import.
requests.get = lambda *_, **__: types.SimpleNamespace(status_code=404)
huggingface_hub.HfApi.list_models = lambda *_, **__: ["a model that is not used"]

from lighteval.logging.evaluation_tracker import EvaluationTracker  # noqa: E402
from lighteval.models.dummy.dummy_model import DummyModelConfig  # noqa: E402
from lighteval.pipeline import (  # noqa: E402
    ParallelismManager,
    Pipeline,
    PipelineParameters,
)

ROWS = [
    {"question": "7 * 8 =", "choices": ["54", "56"], "answer": 1},
    {"question": "2 + 2 =", "choices": ["4", "5"], "answer": 0},
    {"question": "Write: random baseline", "choices": ["random baseline"], "answer": 0},
]
TASKS = """
from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc


def choose(row, task_name=None):
    return Doc(row["question"], row["choices"], row["answer"], task_name=task_name)


def write(row, task_name=None):
    right = row["choices"][row["answer"]]
    return Doc(row["question"], [right], 0, task_name=task_name)


def task(name, function, *metrics):
    return LightevalTaskConfig(
        name=name,
        prompt_function=function,
        metrics=list(metrics),
        hf_repo={folder!r},
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        generation_size=8,
        stop_sequence=[],
    )


TASKS_TABLE = [
    task("choose", choose, Metrics.loglikelihood_acc),
    task("sums:write", write, Metrics.exact_match, Metrics.f1_score),
]
"""


def main(folder):
    rows = folder / "rows" / "test.jsonl"
    rows.parent.mkdir()
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    tasks = folder / "own_tasks.py"
    tasks.write_text(TASKS.format(folder=str(rows.parent)))
    said = {}
    for seed, model in enumerate(("org/small", "large")):
        pipeline = Pipeline(
            tasks="choose|0,sums:write|0",
            pipeline_parameters=PipelineParameters(
                launcher_type=ParallelismManager.NONE,
                custom_tasks_directory=str(tasks),
            ),
            evaluation_tracker=EvaluationTracker(str(folder / "out")),
            model_config=DummyModelConfig(model_name=model, seed=seed),
        )
        pipeline.evaluate()
        pipeline.save_and_push_results()
        said[model] = pipeline.get_results()["results"]
    (folder / "said.json").write_text(json.dumps(said, default=float))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
