"""Routers in saved files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click

from skl_locus._cli.commands import note
from skl_locus.exceptions import SavedFileError

ROUTERS = {
    "locus": "LocusRouter",
    "kmeans": "KMeansRouter",
    "knn": "KNNRouter",
    "linear": "LinearRouter",
    "embedllm": "EmbedLLMRouter",
    "irt": "IRTRouter",
    "best-single": "BestSingleRouter",
}
"""Classes of routers by their names on the command line."""

HASHING = "hashing"
"""Name of the encoder that needs no model."""

HASHED_FEATURES = 512
"""Length of its vectors; collisions of words are rare enough in short queries."""

saved_argument = click.argument("saved", type=click.Path(path_type=Path))
"""The argument of a file that was saved."""

encoder_option = click.option(
    "--encoder",
    metavar="NAME|FOLDER",
    help="Text model of the router, if the file does not name it.",
)
"""The option of a text model for a saved router."""


def load_saved(path: Path, encoder: str | None) -> Any:
    """Load a router, a policy or a pipeline that ends in one."""
    import skl_locus

    estimator = skl_locus.load(path, encoder=encoder)
    if not hasattr(router_in(estimator), "add_models"):
        kind = type(estimator).__name__
        raise SavedFileError(f"it has a {kind}, which is no router", path)
    return estimator


def save_router(estimator: Any, path: Path, **options: Any) -> None:
    """Save an estimator, and note its size."""
    import skl_locus

    skl_locus.save(estimator, path, **options)
    note(f"saved {path} ({path.stat().st_size:,} bytes)")


def router_in(estimator: Any) -> Any:
    """Return the router of a policy, or the last step of a pipeline."""
    if hasattr(estimator, "steps"):
        return router_in(estimator[-1])
    # The parameter of a policy, which no router has.
    return getattr(estimator, "router", estimator)


def rows_for(estimator: Any, table: Any) -> Any:
    """Return rows or queries as the router in an estimator takes them."""
    is_pipeline = hasattr(estimator, "steps") and len(estimator.steps) > 1
    return estimator[:-1].transform(table) if is_pipeline else table


def takes_texts(estimator: Any) -> bool:
    """Return whether the queries of an estimator are texts."""
    first = estimator[0] if hasattr(estimator, "steps") else router_in(estimator)
    return (
        hasattr(first, "n_features_out_")
        or getattr(first, "query_encoder_", None) is not None
    )


def labels_of(names: Collection[str], models: Any) -> list:
    """Return labels as the router has them; names that it lacks stay as they are."""
    known = {str(label): label for label in models}
    return [known.get(name, name) for name in names]


def new_encoder(name: str | None) -> Any:
    """Return an encoder by its name or folder; None without a name."""
    if name != HASHING:
        return name
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=HASHED_FEATURES)


def require_encoder(encoder: str | None, table: Any) -> None:
    """Raise if the queries of a log are texts that nothing would encode.

    Raises
    ------
    click.UsageError
        Before any work is done.
    """
    queries = table["query"]
    if encoder is None and len(queries) and isinstance(queries.iloc[0], str):
        raise click.UsageError(
            "The queries of LOG are texts: name a text model by --encoder, such as "
            f"all-MiniLM-L6-v2 or its folder, or --encoder {HASHING}, which needs no "
            "model; or pass vectors by --encodings."
        )


def new_router(name: str, parameters: dict[str, Any], random_state: int | None) -> Any:
    """Make a router that is not fitted.

    Parameters
    ----------
    name : str
        A key of `ROUTERS`.
    parameters : dict
        Parameters of the class.
    random_state : int or None
        Seed, for classes that have one.

    Raises
    ------
    click.UsageError
        If the class has no parameter of a name.
    """
    import skl_locus

    make: Callable = getattr(skl_locus, ROUTERS[name])
    known = make().get_params()
    for parameter in parameters:
        if parameter not in known:
            raise click.UsageError(
                f"{ROUTERS[name]} has no parameter {parameter!r}; it has "
                f"{', '.join(sorted(known))}."
            )
    if "random_state" in known and random_state is not None:
        parameters = {"random_state": random_state, **parameters}
    return make(**parameters)
