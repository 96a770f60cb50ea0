"""What works without the packages of the extras, and what is said where one is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = """
import json, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mujoco", "pyspiel", "open_spiel", "numba", "av"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())

import contextlib, io
from sparring import cli

answers = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""

OWN = """
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.hosted import Hosted

class Own(Hosted):
    pass

def make(num_games):
    return Own(MatrixGame(ROCK_PAPER_SCISSORS, num_games, "own/rps"))
"""

ROBOTS = 'sparring: mujoco is not installed: pip install "sparring[robosumo]"\n'
OPENSPIEL = 'sparring: pyspiel is not installed: pip install "sparring[exact]"\n'
NUMBA = 'sparring: numba is not installed: pip install "sparring[exact]"\n'
PAIR = ["--victim", "uniform", "--attacker", "uniform"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """What every command says in a process that cannot import the extras' packages."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "own.py").write_text(OWN)
    words = {
        "audit robots": ["audit", "robosumo/ant-vs-ant"],
        "attack robots": ["attack", "robosumo/ant-vs-ant", "--victim", "builtin:ant"],
        "evaluate robots": ["evaluate", "robosumo/ant-vs-ant", *PAIR],
        "audit openspiel": ["audit", "openspiel/kuhn_poker", "--victim", "uniform"],
        "certify openspiel": ["certify", "openspiel/kuhn_poker", "--victim", "uniform"],
        "defend openspiel": ["defend", "openspiel/kuhn_poker"],
        "defend numba": ["defend", "matrix/rps", "--out", "defend"],
        "study openspiel": ["study", "kuhn-exploitability", "--preset", "smoke", "--out", "study"],
        "list": ["list", "--json"],
        "evaluate": ["evaluate", "matrix/rps", *PAIR, "--out", "evaluate"],
        "audit": ["audit", "own:make", "--victim", "uniform", "--benign", "uniform", "--dry-run"],
    }
    command = [sys.executable, "-c", HIDDEN, json.dumps(list(words.values()))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    # What was refused has left nothing, neither before nor after it had begun.
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == ["evaluate", "own.py"]
    return dict(zip(words, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(
    ("what", "line"),
    [
        *((f"{verb} robots", ROBOTS) for verb in ("audit", "attack", "evaluate")),
        *((f"{verb} openspiel", OPENSPIEL) for verb in ("audit", "certify", "defend", "study")),
        ("defend numba", NUMBA),
    ],
)
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(
    what: str, line: str, answers: dict[str, tuple[int, str, str]]
) -> None:
    code, out, err = answers[what]
    assert (code, out) == (2, "")
    assert err.endswith(line) and "Traceback" not in err


@pytest.mark.parametrize("what", ["list", "evaluate", "audit"])
def test_what_needs_no_extra_works_without(what: str, answers: dict[str, tuple[int, str, str]]) -> None:
    code, out, err = answers[what]
    assert code == 0 and out, err


@pytest.mark.slow
def test_compiled_functions_call_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through a name that was imported before the first call: 3 * 2 + 1, doubled."""
    (tmp_path / "compiled_example.py").write_text(
        "from sparring.exact.compiled import njit\n\n"
        "@njit()\ndef odd(x):\n    return 2 * x + 1\n\n"
        "@njit()\ndef twice(x):\n    return 2 * odd(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code = "from compiled_example import odd, twice; print(twice(3), odd(3), twice(3), odd.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "14 7 14 odd\n"
