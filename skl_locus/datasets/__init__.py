"""Evaluation logs to learn and test with: synthetic, and computed on the spot."""

from skl_locus.datasets._base import clear_data_home, get_data_home
from skl_locus.datasets._digits import load_digits_pool
from skl_locus.datasets._synthetic import make_evaluations

__all__ = [
    "clear_data_home",
    "get_data_home",
    "load_digits_pool",
    "make_evaluations",
]
