"""Tables of a small log, laid out as the experiments read them."""

from skl_locus.datasets import make_evaluations

N_TWINS = 6
"""Queries whose text is that of another one."""


def tables(**parameters):
    """Return evaluations, queries with texts (some twice), encodings and models."""
    pool = make_evaluations(
        **{"n_models": 8, "n_queries": 160, "n_tasks": 3, "random_state": 0}
        | parameters
    )
    queries = pool.queries.assign(query=[f"text {i}" for i in range(160)])
    queries.loc[: N_TWINS - 1, "query"] = queries["query"].to_numpy()[N_TWINS:][
        :N_TWINS
    ]
    evaluations = pool.evaluations[["model", "query_id", "score"]]
    models = pool.models.rename(columns={"cost": "n_params_billion"})
    return evaluations, queries, pool.encodings, models
