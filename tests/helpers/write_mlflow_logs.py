"""Run as a script: let MLflow write evaluation tables and traces of fixed answers."""

import json
import sys
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.metrics import MetricValue, make_metric

QUESTIONS = ["7 * 8?", "2 + 2?", "Name the author of Faust."]
RIGHT = ["56", "4", "Goethe"]
ANSWERS = {"small": ["56", "5", "Goethe wrote it"], "large": RIGHT}


def overlap(predictions, targets):
    pairs = zip(predictions, targets, strict=True)
    scores = [1.0 if p == t else 0.5 if t in p else 0.0 for p, t in pairs]
    return MetricValue(scores, aggregate_results={"mean": sum(scores) / len(scores)})


def evaluate(answers):
    """Return MLflow's mean of the metric in a run that writes a table."""
    metric = make_metric(eval_fn=overlap, greater_is_better=True, name="overlap")
    table = pd.DataFrame({"inputs": QUESTIONS, "truth": RIGHT, "outputs": answers})
    result = mlflow.models.evaluate(
        data=table,
        targets="truth",
        predictions="outputs",
        extra_metrics=[metric],
        evaluators="default",
    )
    return result.metrics["overlap/mean"]


def evaluate_traces(answers):
    """Return MLflow's means of two scorers, and its table of traces."""
    from mlflow.genai.scorers import scorer

    @scorer
    def right(outputs, expectations):
        return outputs == expectations["expected_response"]

    @scorer
    def verdict(outputs, expectations):
        return "yes" if expectations["expected_response"] in outputs else "no"

    given = dict(zip(QUESTIONS, answers, strict=True))
    data = [
        {"inputs": {"question": q}, "expectations": {"expected_response": r}}
        for q, r in zip(QUESTIONS, RIGHT, strict=True)
    ]
    result = mlflow.genai.evaluate(
        data=data,
        predict_fn=mlflow.trace(lambda question: given[question]),
        scorers=[right, verdict],
    )
    return result.metrics, result.result_df


def main(folder):
    said = {}
    for name, answers in ANSWERS.items():
        mlflow.set_tracking_uri((folder / "store").as_uri())
        mlflow.set_experiment("tables")
        with mlflow.start_run(run_name=name):
            said[name] = {"overlap": evaluate(answers)}
        if hasattr(mlflow, "genai"):
            # Traces need a database; a store of files does not keep them.
            mlflow.set_tracking_uri(f"sqlite:///{folder / 'traces.db'}")
            mlflow.set_experiment("traces")
            with mlflow.start_run(run_name=name):
                means, traces = evaluate_traces(answers)
            traces.drop(columns=["trace", "spans"]).to_pickle(folder / f"{name}.pkl")
            said[name] |= {key.removesuffix("/mean"): v for key, v in means.items()}
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
