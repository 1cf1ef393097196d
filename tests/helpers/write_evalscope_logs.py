"""Run as a script: let EvalScope write reviews of a model that is not there."""

import json
import sys
from pathlib import Path

from evalscope import TaskConfig, run_task
from evalscope.api.model import ModelOutput, ModelUsage

QUESTIONS = [
    {"question": "7 * 8 =", "A": "54", "B": "56", "answer": "B"},
    {"question": "2 + 2 =", "A": "4", "B": "5", "answer": "A"},
    {"question": "3 + 3 =", "A": "7", "B": "6", "answer": "B"},
]
ANSWERS = {"small": ["B", "B", "A"], "large": ["B", "A", "A"]}


def output(letter):
    # The words that the prompt of the benchmark asks for.
    made = ModelOutput.from_content("mockllm", f"答案\uff1a{letter}")
    made.usage = ModelUsage(input_tokens=5, output_tokens=1, total_tokens=6)
    made.time = 0.5
    return made


def main(folder):
    for split in ("dev", "val"):
        rows = folder / "quiz" / f"sums_{split}.jsonl"
        rows.parent.mkdir(exist_ok=True)
        rows.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    said = {}
    for model, letters in ANSWERS.items():
        report = run_task(
            TaskConfig(
                model=model,
                eval_type="mock_llm",
                model_args={"custom_outputs": [output(letter) for letter in letters]},
                datasets=["general_mcq"],
                dataset_args={
                    "general_mcq": {
                        "local_path": str(folder / "quiz"),
                        "subset_list": ["sums"],
                    }
                },
                eval_batch_size=1,
                work_dir=str(folder / "out" / model),
            )
        )["general_mcq"]
        said[model] = report.metrics[0].score
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
