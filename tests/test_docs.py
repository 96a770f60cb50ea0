"""Every command and every piece of Python in the documentation works as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for document in DOCUMENTS for block in pattern.findall(document.read_text())]


def commands() -> list[str]:
    lines = [line.split(" #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def marked(command: str) -> object:
    slow = "--preset smoke" in command or "--steps 60000" in command
    return pytest.param(command, marks=pytest.mark.long) if slow else command


@pytest.mark.parametrize("command", [marked(c) for c in commands() if not c.startswith("make")])
def test_command(command: str, tmp_path: Path) -> None:
    program, *words = shlex.split(command)
    assert program == ".venv/bin/sparring", command
    # In another folder, so that runs land there; the example is found as it is from the project's own.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    run = [sys.executable, "-m", "sparring", *words]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make")])
def test_make_target_exists(command: str) -> None:
    done = subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_audit_shows_a_victim_that_gives_way_and_one_that_stands() -> None:
    done = subprocess.run(["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True)
    assert "audit discs/duel --victim builtin:disc-early" in done.stdout
    assert "audit discs/duel --victim builtin:disc " in done.stdout


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t.split("#")[0]).exists()]
    assert not missing
