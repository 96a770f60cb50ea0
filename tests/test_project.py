from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_constraints_are_exact_sorted_and_without_addresses() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines), lines


def requirements(*extras: str) -> dict[str, Requirement]:
    """What the package needs with these extras, by name; extras that name other extras are followed."""
    found = {}
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]:
        requirement = Requirement(text)
        if requirement.name == "sparring":
            found |= requirements(*requirement.extras)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def test_dependencies_are_pinned_within_their_bounds() -> None:
    pinned = pins()
    for name, requirement in requirements("dev").items():
        assert pinned[name] in requirement.specifier, requirement


def test_the_package_is_light_by_default() -> None:
    """Somebody who audits an agent in a game of PettingZoo needs no physics, no OpenSpiel and no compiler."""
    extras = {"mujoco", "av", "pillow", "open-spiel", "numba"}
    assert not extras & requirements().keys()
    assert extras <= requirements("all").keys() and extras <= requirements("dev").keys()


def test_every_package_that_is_named_as_missing_is_brought_by_the_extra_that_is_named() -> None:
    brings = {"pyspiel": "open-spiel"}
    source = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
    named = re.findall(r'require\("([\w.]+)", "(\w+)"\)', source)
    assert {module for module, _ in named} == {"mujoco", "numba", "pyspiel", "jaxmarl"}
    for module, extra in named:
        assert brings.get(module, module) in requirements(extra), (module, extra)


def test_the_changelog_knows_the_version() -> None:
    assert version("sparring") == PROJECT["version"]
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()
