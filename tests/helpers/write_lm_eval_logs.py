"""Run as a script: let the lm-evaluation-harness write samples of a toy model."""

import json
import sys
from pathlib import Path

import lm_eval
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

CHOICES = [
    {"question": "7 * 8 =", "choices": ["54", "56"], "answer": 1},
    {"question": "2 + 2 =", "choices": ["4", "5"], "answer": 0},
    {"question": "3 + 3 =", "choices": ["7", "6"], "answer": 1},
]
TASKS = {
    "choose": """
output_type: multiple_choice
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "write": """
output_type: generate_until
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n"]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - name: strict
    filter: [{function: take_first}]
  - name: number
    filter:
      - {function: regex, regex_pattern: "([0-9]+)"}
      - {function: take_first}
""",
}


class Toy(LM):
    """Likes small last digits, and always writes the same."""

    def loglikelihood(self, requests, disable_tqdm=False):
        return [(-float(request.args[1].strip()[-1]), False) for request in requests]

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def generate_until(self, requests, disable_tqdm=False):
        return ["It is 6" for _ in requests]


def main(folder):
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in CHOICES))
    head = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {rows}}}}}\n"
    for name, task in TASKS.items():
        texts = 'test_split: test\ndoc_to_text: "{{question}}"\n'
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{head}{texts}{task}")
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    results = lm_eval.simple_evaluate(
        model=Toy(),
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        log_samples=True,
        evaluation_tracker=tracker,
        bootstrap_iters=0,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, own in samples.items():
        tracker.save_results_samples(task_name=name, samples=own)
    said = {
        name: {key: value for key, value in own.items() if isinstance(value, float)}
        for name, own in results["results"].items()
    }
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
