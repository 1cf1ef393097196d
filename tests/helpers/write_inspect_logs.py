"""Run as a script: let Inspect AI write logs of a model that is not there."""

import json
import sys
from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageSystem,
    ChatMessageUser,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import match
from inspect_ai.solver import generate

ANSWERS = ["56", "4", "Goethe", "55", "4", "Schiller"]  # three samples, two epochs


def output(answer):
    made = ModelOutput.from_content("mockllm/model", answer)
    # Without it, tokens would be counted by a vocabulary from the web.
    made.usage = ModelUsage(input_tokens=5, output_tokens=1, total_tokens=6)
    return made


def main(folder):
    chat = [ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Faust?")]
    samples = [
        Sample(id=1, input="7 * 8?", target="56"),
        Sample(id="two", input="2 + 2?", target="4"),
        Sample(input=chat, target="Goethe"),
    ]
    said = {}
    for log_format in ("eval", "json"):
        task = Task(
            name="quiz",
            dataset=MemoryDataset(samples),
            solver=generate(),
            scorer=match(),
            epochs=2,
        )
        (log,) = eval(
            task,
            model=get_model("mockllm/model", custom_outputs=[*map(output, ANSWERS)]),
            log_dir=str(folder / log_format),
            log_format=log_format,
            display="none",
            max_samples=1,
        )
        said[log_format] = log.results.scores[0].metrics["accuracy"].value
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
