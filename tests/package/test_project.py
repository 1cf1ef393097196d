"""The repository as a whole: the README, CI and the documentation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from sklearn.base import BaseEstimator

import skl_locus
import skl_locus.adaptive
import skl_locus.datasets
import skl_locus.inspection
import skl_locus.metrics
import skl_locus.model_selection
import skl_locus.portfolio

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "skl_locus"
MODULES = (
    skl_locus,
    skl_locus.adaptive,
    skl_locus.datasets,
    skl_locus.inspection,
    skl_locus.metrics,
    skl_locus.model_selection,
    skl_locus.portfolio,
)
PUBLIC = [(m.__name__, name) for m in MODULES for name in m.__all__]


def readme_commands():
    text = (ROOT / "README.md").read_text()
    return re.findall(r"```bash\n(.*?)\n```", text, flags=re.DOTALL)


def test_ci_runs_exactly_the_test_command_of_the_readme():
    (tests,) = [c for c in readme_commands() if c.endswith("-m pytest")]
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_importing_the_package_is_light():
    code = (
        "import sys, skl_locus, skl_locus.metrics, skl_locus.datasets;"
        "assert not {'torch', 'sentence_transformers', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_parameter_and_method_is_documented(module, name):
    thing = getattr(sys.modules[module], name)
    if not isinstance(thing, type):
        if callable(thing):
            assert FunctionDoc(thing)["Summary"]
        return
    documentation = ClassDoc(thing)
    documented = {
        part.strip() for p in documentation["Parameters"] for part in p.name.split(",")
    }
    if issubclass(thing, BaseEstimator):
        assert documented == set(thing._get_param_names())
        assert documentation["Examples"]
    for method in ("fit", "transform", "predict", "route"):
        if hasattr(thing, method):
            assert FunctionDoc(getattr(thing, method))["Summary"]
