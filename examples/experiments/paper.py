"""Numbers of the LOCUS paper (arXiv 2601.21082), in percent unless said otherwise."""

from pathlib import Path

import pandas as pd

DATA = (
    "112 open models of EmbedLLM's log, queries of ten public benchmarks, "
    "all-mpnet-base-v2 encodings, 0/1 scores"
)

ROUTING = {
    "LOCUS (paper)": {256: 61.90, 512: 62.97, 1024: 64.70},
    "EmbedLLM": {256: 58.80, 512: 59.47, 1024: 59.60},
    "EmbedLLM+": {256: 59.17, 512: 61.57, 1024: 59.73},
    "IRT-Net": {256: 59.57, 512: 60.17, 1024: 63.37},
    "kNN": {256: 60.50, 512: 61.37, 1024: 62.90},
    "KMeans": {256: 61.33, 512: 64.47, 1024: 66.20},
}
"""Table 5, over all tasks."""

CORRECTNESS = {
    "LOCUS (paper)": {256: 68.31, 512: 68.33, 1024: 70.03},
    "EmbedLLM": {256: 67.33, 512: 68.12, 1024: 69.47},
    "EmbedLLM+": {256: 66.14, 512: 68.09, 1024: 69.33},
    "IRT-Net": {256: 67.38, 512: 69.07, 1024: 70.12},
    "kNN": {256: 60.60, 512: 67.90, 1024: 69.27},
    "KMeans": {256: 66.34, 512: 68.32, 1024: 69.57},
}
"""Table 6, over all tasks."""


def by_task():
    """Return Tables 5 and 6 by task: metric, method, n, task, percent."""
    return pd.read_csv(Path(__file__).with_name("paper_by_task.csv"))


ABLATIONS = {
    ("encoder", "mpnet"): {256: (61.90, 68.31), 512: (62.97, 68.33)},
    ("encoder", "minilm"): {256: (61.60, 66.12), 512: (63.20, 68.14)},
    ("n_components", "16"): {256: (60.97, 67.94), 512: (62.93, 68.32)},
    ("n_components", "32"): {256: (62.13, 67.75), 512: (62.17, 68.47)},
    ("n_components", "64"): {256: (61.77, 67.82), 512: (61.60, 68.53)},
    ("default", "mpnet"): {256: (61.90, 68.31), 512: (62.97, 68.33)},
    ("default", "minilm"): {256: (61.60, 66.12), 512: (63.20, 68.14)},
    ("n_components", "256"): {256: (61.87, 68.42), 512: (63.27, 68.36)},
    ("n_components", "512"): {256: (62.10, 67.93), 512: (64.07, 68.35)},
}
"""Tables 7 to 10: part and value -> training queries -> (routing, correctness).

The dimensions were tried with the encoder mpnet.
"""

CORRELATIONS = {
    ("pearson", "cosine"): 0.845,
    ("pearson", "euclidean"): 0.887,
    ("spearman", "cosine"): 0.886,
    ("spearman", "euclidean"): 0.876,
    ("kendall", "cosine"): 0.714,
    ("kendall", "euclidean"): 0.702,
}
"""Table 3."""

SAMPLE_EFFICIENCY = "comparators need 2.3 to 4.8 times as many (Figure 1)"
ONBOARDING = (
    "about 128 evaluations suffice; an encoder trained on part of the models loses "
    "less than 1% of accuracy (Figure 3)"
)
ROBUSTNESS = "accuracy is level from 128 to 256 evaluations on (Figure 4)"
REGENERATION = (
    "EmbedLLM: a high cosine distance and up to 8.1% changed predictions on the same "
    "evaluations (Figures 16, 17)"
)
NEAREST_AGREEMENT = 79
"""Figure 8: agreement with the nearest neighbour."""

PORTFOLIO = "15 to 20 of 112 models route as well as all of them (Figure 9)"
BUDGET = "150 of 1930 billion parameters (8%) come close to all of them (Figure 9)"
PROFILE_RECALL = 97
"""Figure 11: recall among the ten nearest, 8192 queries."""

FALLBACK_KEPT = 85
"""Figure 12: share of the routing accuracy that the nearest model keeps."""

TIME = (
    "about 100 ms to embed 112 models from 4096 evaluations, about 20 ms to predict "
    "them on 4096 queries, both on a V100 GPU (Figure 18)"
)
