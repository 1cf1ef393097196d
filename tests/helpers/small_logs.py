"""Small logs of every format, as files that can be damaged."""

import json
import zipfile

import pandas as pd
from reader_checks import write_json, write_lines
from zstandard_zip import write_zip

TEXTS = ["Wie groß ist\n7 * 8?", 'Who wrote "Faust"?', "Why?"]


def write_long(folder):
    frame = pd.DataFrame({"model": "m", "query": TEXTS, "score": [0, 1, 0.5]})
    frame.to_csv(folder / "log.csv", index=False)
    return folder / "log.csv", folder / "log.csv"


def write_jsonl(folder):
    rows = [{"model": "m", "query": text, "score": 1} for text in TEXTS]
    path = write_lines(folder / "log.jsonl", rows)
    return path, path


def write_parquet(folder):
    frame = pd.DataFrame({"model": "m", "query": TEXTS, "score": [0, 1, 0.5]})
    frame.to_parquet(folder / "log.parquet")
    return folder / "log.parquet", folder / "log.parquet"


def write_routerbench(folder):
    frame = pd.DataFrame(
        {"sample_id": list("abc"), "prompt": [str([text]) for text in TEXTS]}
    )
    frame = frame.assign(eval_name="t", m=1, **{"m|total_cost": 2})
    frame.to_csv(folder / "log.csv", index=False)
    return folder / "log.csv", folder / "log.csv"


def write_embedllm(folder):
    frame = pd.DataFrame({"prompt_id": [0, 1, 2], "prompt": TEXTS, "label": [0, 1, 1]})
    frame = frame.assign(model_id=None, model_name="m", category="t")
    frame.to_csv(folder / "train.csv", index=False)
    return folder, folder / "train.csv"


def write_lm_eval(folder):
    rows = [
        {"doc_id": i, "doc": {}, "arguments": [[text, ""]], "filter": "none", "acc": 1}
        for i, text in enumerate(TEXTS)
    ]
    return folder, write_lines(folder / "m" / "samples_t.jsonl", rows)


def inspect_samples():
    return [
        {"id": i, "epoch": 1, "input": text, "scores": {"s": {"value": "C"}}}
        for i, text in enumerate(TEXTS)
    ]


def write_inspect_json(folder):
    log = {"eval": {"model": "m", "task": "t"}, "samples": inspect_samples()}
    path = write_json(folder / "log.json", log)
    return path, path


def write_inspect_eval(folder):
    path = folder / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = {"eval": {"model": "m", "task": "t"}}
        archive.writestr("header.json", json.dumps(header))
        for sample in inspect_samples():
            name = f"samples/{sample['id']}_epoch_1.json"
            archive.writestr(name, json.dumps(sample))
    return path, path


def write_inspect_zstandard(folder):
    contents = {"header.json": json.dumps({"eval": {"model": "m", "task": "t"}})}
    for sample in inspect_samples():
        contents[f"samples/{sample['id']}_epoch_1.json"] = json.dumps(sample)
    path = write_zip(folder / "log.eval", contents)
    return path, path


def write_llmrouterbench(folder):
    run = {"records": [{"origin_query": text, "score": 1} for text in TEXTS]}
    return folder, write_json(folder / "t" / "test" / "m" / "1.json", run)


def write_helm(folder):
    spec = {"name": "t:model=m", "adapter_spec": {"model": "m"}}
    write_json(folder / "run_spec.json", spec)
    instances = [{"id": f"id{i}", "input": {"text": t}} for i, t in enumerate(TEXTS)]
    write_json(folder / "instances.json", instances)
    stats = [
        {
            "instance_id": f"id{i}",
            "stats": [{"name": {"name": "exact_match"}, "mean": 1}],
        }
        for i in range(len(TEXTS))
    ]
    return folder, write_json(folder / "per_instance_stats.json", stats)


def write_alpaca_eval(folder):
    rows = [{"instruction": t, "generator_2": "m", "preference": 1.5} for t in TEXTS]
    return folder, write_json(folder / "annotations.json", rows)


def promptfoo_results():
    """Results with the keys of promptfoo 0.123.1, without settings and details."""
    return [
        {
            "gradingResult": {"pass": True, "score": 1, "componentResults": [{}]},
            "prompt": {"raw": text, "label": "{{question}}"},
            "provider": {"id": "m", "label": ""},
            "response": {"output": "a"},
            "score": 1,
            "success": True,
            "failureReason": 0,
        }
        for text in TEXTS
    ]


def write_promptfoo(folder):
    document = {"results": {"version": 3, "results": promptfoo_results()}}
    path = write_json(folder / "output.json", document)
    return path, path


def write_promptfoo_lines(folder):
    path = write_lines(folder / "output.jsonl", promptfoo_results())
    return path, path


def write_evalscope(folder):
    """Reviews with the keys of EvalScope 1.14.1, without details."""
    rows = [
        {
            "index": i,
            "messages": [
                {"role": "user", "content": text, "source": None},
                {"role": "assistant", "content": "a", "source": "generate"},
            ],
            "sample_score": {
                "score": {
                    "value": {"acc": 1.0},
                    "status": "success",
                    "prediction": "a",
                    "main_score_name": "acc",
                },
                "group_id": i,
            },
        }
        for i, text in enumerate(TEXTS)
    ]
    return folder, write_lines(folder / "reviews" / "m" / "t_s.jsonl", rows)


def write_lighteval(folder):
    """Details with the columns of lighteval 0.13.0."""
    documents = [
        {"query": text, "id": str(i), "task_name": "t|0"}
        for i, text in enumerate(TEXTS)
    ]
    answers = [{"text": ["a"], "input_tokens": [], "output_tokens": []}] * len(TEXTS)
    frame = pd.DataFrame({"doc": documents, "metric": [{"acc": 1}] * len(TEXTS)})
    path = folder / "details" / "m" / "2026-01-01T12-00-00" / "details_t|0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.assign(model_response=answers).to_parquet(path)
    return folder, path


def write_mlflow(folder):
    """A table as MLflow 2.22.5 and 3.17.2 write it."""
    table = {
        "columns": ["inputs", "outputs", "latency", "match/score"],
        "data": [[text, "a", 0.5, 1.0] for text in TEXTS],
    }
    path = folder / "m" / "artifacts" / "eval_results_table.json"
    return folder, write_json(path, table)


def write_wide(folder):
    frame = pd.DataFrame({"query": TEXTS, "m": [0, 1, 0.5], "n": [True, False, True]})
    frame.to_csv(folder / "log.csv")
    return folder / "log.csv", folder / "log.csv"
