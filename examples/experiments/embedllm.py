"""EmbedLLM's files as a log with the splits and the held-out models of the paper.

    python examples/experiments/run_all.py --embedllm FOLDER --report

``FOLDER`` has the published ``train.csv``, ``val.csv`` and ``test.csv`` (and perhaps
``model_order.csv``). They are converted once into a folder of the cache, laid out as
those of ../shared/data; ``encodings_mpnet.npy`` in ``FOLDER``, a row per prompt in the
order of the three files, is used in place of encoding the prompts, and ``models.csv``
(model, n_params_billion, family) for budgets and families. Queries are drawn from the
training split; ``--report`` tests on the test split as the paper does, and without it
the test is on the validation split.
"""

import hashlib

import numpy as np
import pandas as pd
from protocol import DEVELOPMENT_SPLIT, TEST_SPLIT, TRAINING_SPLIT, Files

from skl_locus import QueryEncoder
from skl_locus.datasets import read_embedllm

NAME = "embedllm"
SPLITS = (TRAINING_SPLIT, DEVELOPMENT_SPLIT, TEST_SPLIT)

ENCODERS = {"mpnet": "all-mpnet-base-v2", "minilm": "all-MiniLM-L6-v2"}
"""Sentence-transformers models by the name in ``encodings_NAME.npy``."""

HELD_OUT = (
    "FelixChao/llama2-13b-math1.2",
    "MaziyarPanahi/WizardLM-Math-70B-v0.1",
    "01-ai/Yi-6B-200K",
    "WizardLM/WizardLM-70B-V1.0",
    "bigscience/bloom-7b1",
    "sail/Sailor-7B",
    "codellama/CodeLlama-13b-Instruct-hf",
    "Writer/palmyra-med-20b",
    "Qwen/Qwen1.5-0.5B-Chat",
    "databricks/dolly-v2-12b",
    "nomic-ai/gpt4all-13b-snoozy",
    "stabilityai/stablelm-tuned-alpha-7b",
    "AdaptLLM/medicine-chat",
    "AdaptLLM/medicine-LLM",
    "EleutherAI/pythia-12b",
    "Q-bert/Optimus-7B",
)
"""The sixteen new models of the paper (appendix A)."""

BENCHMARKS = {
    "mathqa": "MathQA",
    "logiqa": "LogiQA",
    "medmcqa": "MedQA",
    "piqa": "PIQA",
    "truthfulqa": "TruthQA",
    "mmlu": "MMLU",
    "gsm8k": "GSM8k",
    "gpqa": "GPQA",
    "asdiv": "ASDiv",
    "social": "SoQA",
}
"""How categories of the files begin -> columns of the paper's tables.

The files name subjects of MMLU and forms of GPQA apart; the paper has ten tasks.
"""


def converted(folder, options):
    """Convert the files unless it was done before; return where the log is."""
    target = options.cache / NAME / _fingerprint(folder)
    if not (target / "evaluations.parquet").exists():
        _convert(folder, target)
    queries = pd.read_parquet(target / "queries.parquet")
    name = f"encodings_{options.encoder}.npy"
    encodings = folder / name
    if encodings.exists():
        _check_rows(encodings, queries)
    elif not (encodings := target / name).exists():
        vectors = text_encoder(options.encoder).fit_transform(queries["query"])
        np.save(encodings, vectors)
    return Files(
        NAME,
        target / "evaluations.parquet",
        target / "queries.parquet",
        encodings,
        folder / "models.csv",
        held_out=HELD_OUT,
    )


def split_files(folder):
    return [folder / f"{split}.csv" for split in SPLITS]


def _fingerprint(folder):
    """Name the files by place, size and time: reading all of them takes minutes."""
    stats = [path.stat() for path in split_files(folder)]
    parts = [(str(folder.resolve()), s.st_size, s.st_mtime_ns) for s in stats]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _convert(folder, target):
    """Write the tables of a log; prompts are in the order of the three files.

    A prompt in several files belongs to the last of them: one of the test split must
    not be trained on, whatever else it is in.
    """
    target.mkdir(parents=True, exist_ok=True)
    parts = []
    for split in SPLITS:
        part = read_embedllm(folder, splits=(split,), verbose=True)
        texts = part[["model", "query_id", "task"]].astype(str)
        parts.append(part.assign(split=split, **texts))
    rows = pd.concat(parts, ignore_index=True)
    last = rows.drop_duplicates("query_id", keep="last").set_index("query_id")["split"]
    queries = rows.drop_duplicates("query_id")[["query_id", "query", "task"]]
    queries = queries.assign(
        task=queries["task"].map(benchmark_of), split=queries["query_id"].map(last)
    )
    queries.to_parquet(target / "queries.parquet", index=False)
    # The file that says that all is there comes last.
    scores = rows[["model", "query_id", "score"]]
    scores.to_parquet(target / "evaluations.parquet", index=False)


def benchmark_of(category):
    """Return the paper's name of a category, the category itself if it has none."""
    for beginning, name in BENCHMARKS.items():
        if category.lower().startswith(beginning):
            return name
    return category


def _check_rows(path, queries):
    n_rows = len(np.load(path, mmap_mode="r"))
    if n_rows != len(queries):
        raise ValueError(
            f"{path} has {n_rows} rows, but the files have {len(queries)} prompts; it "
            "needs one row for each, in the order of train.csv, val.csv and test.csv."
        )


def text_encoder(name):
    return QueryEncoder(ENCODERS.get(name, name), verbose=1)
