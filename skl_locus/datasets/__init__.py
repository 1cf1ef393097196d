"""Evaluation logs: synthetic, computed on the spot, fetched, or read from files."""

from skl_locus.datasets._base import clear_data_home, get_data_home
from skl_locus.datasets._digits import load_digits_pool
from skl_locus.datasets._fetchers import (
    fetch_embedllm,
    fetch_llmrouterbench,
    fetch_routerbench,
)
from skl_locus.datasets._readers._alpaca_eval import read_alpaca_eval
from skl_locus.datasets._readers._concat import concat_logs
from skl_locus.datasets._readers._decisions import read_decisions
from skl_locus.datasets._readers._detect import read_log
from skl_locus.datasets._readers._embedllm import read_embedllm
from skl_locus.datasets._readers._evalscope import read_evalscope
from skl_locus.datasets._readers._helm import read_helm
from skl_locus.datasets._readers._inspect import read_inspect
from skl_locus.datasets._readers._lighteval import read_lighteval
from skl_locus.datasets._readers._llmrouterbench import read_llmrouterbench
from skl_locus.datasets._readers._lm_eval import read_lm_eval
from skl_locus.datasets._readers._long import read_long, read_wide
from skl_locus.datasets._readers._mlflow import read_mlflow
from skl_locus.datasets._readers._promptfoo import read_promptfoo
from skl_locus.datasets._readers._routerbench import read_routerbench
from skl_locus.datasets._readers._summary import ReadSummary
from skl_locus.datasets._synthetic import make_evaluations

__all__ = [
    "ReadSummary",
    "clear_data_home",
    "concat_logs",
    "fetch_embedllm",
    "fetch_llmrouterbench",
    "fetch_routerbench",
    "get_data_home",
    "load_digits_pool",
    "make_evaluations",
    "read_alpaca_eval",
    "read_decisions",
    "read_embedllm",
    "read_evalscope",
    "read_helm",
    "read_inspect",
    "read_lighteval",
    "read_llmrouterbench",
    "read_lm_eval",
    "read_log",
    "read_long",
    "read_mlflow",
    "read_promptfoo",
    "read_routerbench",
    "read_wide",
]
