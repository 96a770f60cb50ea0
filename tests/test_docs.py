"""Every command and every piece of Python in the documentation works as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import sparring

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for document in DOCUMENTS for block in pattern.findall(document.read_text())]


def lines_of(block: str) -> list[str]:
    return [line for text in block.splitlines() if (line := text.split(" #")[0].strip())]


def together(block: str) -> bool:
    """Whether a command of the block reads the folder that one before it has written."""
    written = re.findall(r"--out (\S+)", block)
    return any(re.search(rf"(?<!--out ){re.escape(folder)}\b", block) for folder in written)


def commands() -> list[str]:
    return [line for block in blocks("sh") if not together(block) for line in lines_of(block)]


def marked(command: str) -> object:
    if "--preset smoke" in command or "--steps 60000" in command:
        return pytest.param(command, marks=pytest.mark.long)
    return pytest.param(command, marks=pytest.mark.slow) if plays(command) else command


def plays(text: str) -> bool:
    """Whether matches are played or trained on: what is solved takes a second or two."""
    return any(part in text for part in ("discs", "robosumo", "examples.own"))


def run_in(folder: Path, command: str) -> None:
    program, *words = shlex.split(command)
    assert program == ".venv/bin/sparring", command
    run = [sys.executable, "-m", "sparring", *words]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", [marked(c) for c in commands() if not c.startswith("make")])
def test_command(command: str, tmp_path: Path) -> None:
    # In another folder, so that runs land there; the example is found as it is from the project's own.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    run_in(tmp_path, command)


def workflows() -> list[object]:
    found = [block for block in blocks("sh") if together(block)]
    return [
        pytest.param(block, marks=pytest.mark.long if "audit discs" in block else pytest.mark.slow) for block in found
    ]


@pytest.mark.parametrize("block", workflows())
def test_commands_that_build_on_each_other(block: str, tmp_path: Path) -> None:
    for command in lines_of(block):
        run_in(tmp_path, command)
    pages = list(tmp_path.glob("runs/*/compare.html"))
    assert len(pages) == block.count("sparring compare")
    for page in pages:
        assert "different benign opponents" not in page.read_text()  # they are the same, so that damage is judged


def test_the_list_of_functions_is_whole() -> None:
    table = (ROOT / "README.md").read_text().partition("| function | does |")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(sparring.__all__)


def test_a_task_of_one_agent_is_refused_as_the_table_of_games_says(tmp_path: Path) -> None:
    words = ["audit", "gymnasium/CartPole-v1", "--victim", "random"]
    run = [sys.executable, "-m", "sparring", *words]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "gymnasium/CartPole-v1 has no agent besides player, the victim, so nobody can attack it" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make")])
def test_make_target_exists(command: str) -> None:
    done = subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_audit_shows_a_victim_that_gives_way_and_one_that_stands() -> None:
    done = subprocess.run(["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True)
    assert "audit discs/duel --victim builtin:disc-early" in done.stdout
    assert "audit discs/duel --victim builtin:disc " in done.stdout


@pytest.mark.parametrize(
    "code", [pytest.param(code, marks=pytest.mark.slow) if plays(code) else code for code in blocks("python")]
)
def test_python(code: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t.split("#")[0]).exists()]
    assert not missing
