"""Queries and logs that come in parts and do not fit in memory.

Streams of dataframes or Arrow record batches go in, streams of record batches come
out, and `write_parts` writes them to a folder that a killed run can continue. All of
this needs pyarrow (extra ``scale``).
"""

from skl_locus._data.stored_logs import EvaluationLog
from skl_locus.batches._decisions import rank_batches, route_batches, score_batches
from skl_locus.batches._embedding import embed_batches
from skl_locus.batches._encoding import encode_batches
from skl_locus.batches._parts import write_parts
from skl_locus.batches._results import ResultStream

__all__ = [
    "EvaluationLog",
    "ResultStream",
    "embed_batches",
    "encode_batches",
    "rank_batches",
    "route_batches",
    "score_batches",
    "write_parts",
]
