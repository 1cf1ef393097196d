"""Nothing in a file is run: what is not known is refused by its name."""

import io
import json
import operator
import subprocess
import sys
import zipfile
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
from equality import differences
from every_estimator import OLD, TEXTS, fitted, text_transformer
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skl_locus
from skl_locus import BestSingleRouter, CostModel, KNNRouter, QueryEncoder
from skl_locus._data.sentence_models import MissingModel
from skl_locus._persistence import objects
from skl_locus._persistence.file_format import write_parts
from skl_locus._persistence.registry import ROOMS, find_class, stored_classes
from skl_locus.datasets import make_evaluations
from skl_locus.exceptions import SavedFileError

HERE = __name__


class Lower(TransformerMixin, BaseEstimator):
    """A transformer of somebody else."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return [text.lower() for text in X]


def shout(texts):
    return [text.upper() for text in texts]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.locus"


def test_a_foreign_class_is_refused_by_name_until_it_is_trusted(path):
    pipe = make_pipeline(Lower(), fitted("QueryEncoder"))
    skl_locus.save(pipe, path)
    name = f"{HERE}.Lower"
    assert skl_locus.describe(path)["foreign_types"] == [name]
    with pytest.raises(SavedFileError, match=rf"not trusted: {name}\. .*trusted="):
        skl_locus.load(path)
    with pytest.raises(ValueError, match=r"pass \["):
        skl_locus.load(path, trusted=name)
    with pytest.raises(SavedFileError, match="not trusted"):
        skl_locus.load(path, trusted=[f"{HERE}.Another"])
    loaded = skl_locus.load(path, trusted=[name])
    np.testing.assert_array_equal(loaded.transform(TEXTS), pipe.transform(TEXTS))


class MyRouter(KNNRouter):
    """A router that somebody else has derived from one of this package."""


def test_a_derived_router_is_refused_by_name_until_it_is_trusted(path):
    router = MyRouter(3).fit(OLD, OLD.score)
    skl_locus.save(router, path)
    name = f"{HERE}.MyRouter"
    with pytest.raises(SavedFileError, match=name):
        skl_locus.load(path)
    for mmap in (False, True):
        loaded = skl_locus.load(path, mmap=mmap, trusted=[name])
        assert differences(loaded, router) == []


def test_a_foreign_function_is_refused_by_name_until_it_is_trusted(path):
    skl_locus.save(FunctionTransformer(shout), path)
    with pytest.raises(SavedFileError, match=rf"{HERE}\.shout"):
        skl_locus.load(path)
    assert skl_locus.load(path, trusted=[f"{HERE}.shout"]).func is shout


def run(*_):
    raise AssertionError("code of the file was run")


ATTACKS = {
    "a builtin": (eval, "eval"),
    "a method": (fitted("QueryEncoder").fit, "QueryEncoder"),
    "a partial function": (partial(run, 1), "partial"),
    "an operator": (operator.methodcaller("system", "true"), "methodcaller"),
    "an attribute": (operator.attrgetter("__class__"), "attrgetter"),
    "a function": (run, "run"),
    "a function of numpy": (np.save, "numpy.save"),
    "a class": (zipfile.ZipFile, "ZipFile"),
    "a tree of scikit-learn": (
        RandomForestClassifier(1).fit([[0.0], [1.0]], [0, 1]).estimators_[0].tree_,
        "sklearn.tree._tree.Tree",
    ),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_what_could_be_run_is_refused_by_name(kind, path):
    value, name = ATTACKS[kind]
    skl_locus.save(CostModel(costs=[value]), path)
    assert any(name in foreign for foreign in skl_locus.describe(path)["foreign_types"])
    with pytest.raises(SavedFileError, match=rf"not trusted: .*{name}"):
        skl_locus.load(path)


def node(loader, module, name, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


def archive_of(content):
    """Return an archive of skops with one node somewhere inside an estimator."""
    archive = objects.dump_objects(BestSingleRouter(encoding_cols=["here"]))
    schema = objects._read_schema(archive)
    schema["content"]["content"]["encoding_cols"] = content
    return objects._with_schema(archive, schema)


def write(archive, path):
    with path.open("wb") as file:
        write_parts(file, {"estimator": "x"}, archive, [])


NULL = node("JsonNode", "builtins", "str", content="null")
EMPTY = node("ListNode", "builtins", "list", content=[])
NO_KEYS = {"key_types": EMPTY, "content": {}}
OWN = "skl_locus.baselines._knn", "KNNRouter"

CONFUSIONS = {
    "our class as a list": node("ListNode", *OWN, content=[]),
    "our class as a dict": node("DictNode", *OWN, **NO_KEYS),
    "our class as a type": node("TypeNode", *OWN),
    "our class as a function": node("FunctionNode", *OWN),
    "our class by a call": node(
        "ConstructorFromReduceNode",
        *OWN,
        content=node("TupleNode", "builtins", "tuple", content=[]),
    ),
    "a plain class by attributes": node(
        "ObjectNode", "datetime", "datetime", content=NULL
    ),
    "a function of ours": node(
        "ObjectNode", "skl_locus.datasets", "clear_data_home", content=NULL
    ),
    "a class of ours in another room": node(
        "ObjectNode", "skl_locus.datasets._download", "RemoteFile", content=NULL
    ),
    "a name of ours that is imported there": node(
        "ObjectNode", "skl_locus._utils.files", "Path", content=NULL
    ),
    "another package that looks like ours": node(
        "ObjectNode", "skl_locus_evil.module", "KNNRouter2", content=NULL
    ),
    "a module of the system": node("FunctionNode", "os", "system"),
    "a numpy function as an array": node(
        "NdArrayNode", "os", "system", type="json", content=[], shape=NULL
    ),
    "a dict of keys that are called": node(
        "DictNode",
        "builtins",
        "dict",
        key_types=node(
            "ListNode", "builtins", "list", content=[node("TypeNode", "os", "system")]
        ),
        content={"true": NULL},
    ),
    "a reference to what is not there": node("CachedNode", "builtins", "str"),
    "an unknown loader": node("EvilNode", "builtins", "str"),
    "a loader that is no name": node({}, "builtins", "str"),
    "a bit generator that is none": node(
        "RandomGeneratorNode",
        "numpy.random._generator",
        "Generator",
        content={
            "bit_generator": node(
                "DictNode",
                "builtins",
                "dict",
                key_types=EMPTY,
                content={
                    "bit_generator": node(
                        "JsonNode", "builtins", "str", content='"seed"'
                    )
                },
            ),
            "seed_seq": NULL,
        },
    ),
}


@pytest.mark.parametrize("kind", CONFUSIONS)
def test_trusted_names_are_called_in_no_other_way_than_meant(kind, path, monkeypatch):
    write(archive_of(CONFUSIONS[kind]), path)
    monkeypatch.setattr("os.system", run)
    with pytest.raises(SavedFileError):
        skl_locus.load(path)


def test_the_frame_of_these_attacks_is_loaded_without_them(path):
    write(archive_of(node("JsonNode", "builtins", "str", content="[1]")), path)
    assert skl_locus.load(path).encoding_cols == [1]


def test_a_lower_protocol_of_skops_changes_nothing(path):
    for protocol in (0, 1, 99, True, None):
        archive = archive_of(node("FunctionNode", "os", "system"))
        schema = objects._read_schema(archive) | {"protocol": protocol}
        write(objects._with_schema(archive, schema), path)
        with pytest.raises(SavedFileError):
            skl_locus.load(path)


def test_compressed_members_and_deep_trees_are_refused(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(objects.SCHEMA, json.dumps({"a": " " * 10**6}))
    write(buffer.getvalue(), path)
    with pytest.raises(SavedFileError, match="compressed"):
        skl_locus.load(path)
    deep = NULL
    for _ in range(20):
        deep = node("ListNode", "builtins", "list", content=[deep])
    write(archive_of(deep), path)
    skl_locus.load(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(objects.SCHEMA, "[" * 100_000 + "]" * 100_000)
    write(buffer.getvalue(), path)
    with pytest.raises(SavedFileError, match="Recursion"):
        skl_locus.load(path)


def test_arrays_that_are_not_there_are_refused(path):
    for number in ("7", "-1", '"a"', "null"):
        content = node(
            "DictNode",
            "builtins",
            "dict",
            key_types=node(
                "ListNode",
                "builtins",
                "list",
                content=[node("TypeNode", "builtins", "str")],
            ),
            content={"number": node("JsonNode", "builtins", "str", content=number)},
        )
        stored = node(
            "ObjectNode", "skl_locus._persistence.plain", "StoredArray", content=content
        )
        write(archive_of(stored), path)
        with pytest.raises(SavedFileError):
            skl_locus.load(path)


def test_only_estimators_and_dataclasses_of_listed_rooms_are_found():
    assert find_class("skl_locus.baselines._knn", "KNNRouter") is KNNRouter
    assert find_class("skl_locus._moved._away", "KNNRouter") is KNNRouter
    assert find_class("os", "system") is None
    assert find_class("skl_locus._utils.files", "new_file") is None
    for cls in stored_classes().values():
        assert cls.__module__.split(".")[1] in ROOMS


def test_no_module_is_imported_because_a_file_names_it(path, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for loader in ("ObjectNode", "FunctionNode", "TypeNode", "ListNode"):
        write(archive_of(node(loader, "evil_module", "evil", content=[])), path)
        with pytest.raises(SavedFileError, match=r"not trusted: evil_module\.evil"):
            skl_locus.load(path)


def test_a_file_cannot_choose_a_folder_with_a_model(path, tmp_path):
    folder = tmp_path / "evil-model"
    folder.mkdir()
    for estimator in (
        QueryEncoder(str(folder)),
        KNNRouter(encoder=folder),
        make_pipeline(QueryEncoder(str(folder)), KNNRouter(encoder="./x")),
    ):
        skl_locus.save(estimator, path)
        loaded = skl_locus.load(path)
        first = loaded[0] if hasattr(loaded, "steps") else loaded
        assert first.encoder == MissingModel("evil-model")
    with pytest.raises(ValueError, match="evil-model"):
        loaded[0].fit(TEXTS)


def test_a_folder_is_found_wherever_it_hides(path, tmp_path):
    cells = np.empty((1, 2), object)
    cells[0] = ["encoder", QueryEncoder(str(tmp_path))]
    hidden = BestSingleRouter(
        encoding_cols=[np.ma.MaskedArray(cells), OrderedDict(a=cells.tolist())]
    )
    # Stored by skops alone, as whoever writes a file by hand can have it.
    write(objects.dump_objects(hidden), path)
    masked, ordered = skl_locus.load(path).encoding_cols
    for encoder in (masked[0, 1], ordered["a"][0][1]):
        assert encoder.encoder == MissingModel(tmp_path.name)


def test_a_file_cannot_choose_a_folder_with_pickles(path, tmp_path):
    folder = str(tmp_path / "remembered")
    pipe = make_pipeline(text_transformer(), KNNRouter(n_neighbors=3), memory=folder)
    skl_locus.save(make_pipeline(pipe), path)
    loaded = skl_locus.load(path)
    assert loaded[0].memory is None
    assert loaded[0][1].n_neighbors == 3


def test_an_own_vectorizer_with_a_function_needs_trust(path):
    encoder = QueryEncoder(
        make_pipeline(TfidfVectorizer(tokenizer=str.split, token_pattern=None))
    )
    skl_locus.save(encoder, path)
    assert skl_locus.describe(path)["foreign_types"]
    with pytest.raises(SavedFileError, match="not trusted"):
        skl_locus.load(path)
    skl_locus.save(QueryEncoder(text_transformer()).fit(TEXTS), path)
    assert skl_locus.describe(path)["foreign_types"] == []


def test_loading_does_not_import_torch(tmp_path):
    pytest.importorskip("torch")
    log = make_evaluations(n_models=4, n_queries=20, random_state=0).evaluations
    path = tmp_path / "router.locus"
    skl_locus.save(skl_locus.KNNRouter(n_neighbors=3).fit(log, log["score"]), path)
    code = (
        "import sys, skl_locus; skl_locus.load(sys.argv[1]);"
        "assert 'torch' not in sys.modules;"
        "names = [name for name in sys.modules if name.startswith('sklearn.')];"
        "assert None not in map(sys.modules.get, names)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=300)
