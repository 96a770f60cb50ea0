from __future__ import annotations

import subprocess
import sys

import pytest

import sparring

HEAVY = ("jax", "torch", "mujoco", "pyspiel", "ray", "scipy.stats")


def loaded_by(code: str) -> list[str]:
    """Which heavy modules a fresh interpreter has loaded after running `code`."""
    report = f"import sys; print('LOADED', *[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return done.stdout.split("LOADED")[-1].split()


def test_the_check_sees_a_heavy_module() -> None:
    assert loaded_by("import scipy.stats") == ["scipy.stats"]


def test_import_is_light() -> None:
    assert loaded_by("import sparring") == []


def test_help_is_light() -> None:
    code = """
import runpy, sys
sys.argv = ["sparring", "--help"]
try:
    runpy.run_module("sparring", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""
    assert loaded_by(code) == []


@pytest.mark.parametrize("name", sparring.__all__)
def test_public_names_load(name: str) -> None:
    value = getattr(sparring, name)
    assert callable(value)
    assert value.__doc__


def test_all_names_are_located_and_listed() -> None:
    assert set(sparring._WHERE) == set(sparring.__all__) == set(dir(sparring))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'sparring' has no attribute 'atack'"):
        _ = sparring.atack  # pyright: ignore[reportAttributeAccessIssue]  # a wrong name on purpose
