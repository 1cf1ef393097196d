"""The locked versions of a serving environment fit what the package asks for."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXTRAS = ("metrics", "opentelemetry")


def locked_versions():
    text = (ROOT / "examples" / "serving" / "requirements.lock").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_each_requirement_has_one_locked_version_that_fits_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    locked = locked_versions()
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in locked)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name]), requirement


def test_the_readme_leads_to_the_security_policy_and_the_lock():
    readme = (ROOT / "README.md").read_text()
    for name in (".github/SECURITY.md", "examples/serving/requirements.lock"):
        assert name in readme
        assert (ROOT / name).is_file()
