"""Errors that say what to do."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from sparring import errors
from sparring.errors import InputError, NoPicture, changed, foreign, place, require, unknown


def test_an_unknown_name_comes_with_the_nearest_ones() -> None:
    assert str(unknown("game", "kuhm", ["kuhn", "leduc"])) == "unknown game 'kuhm': did you mean kuhn?"
    assert str(unknown("game", "zzz", ["kuhn", "leduc"])) == "unknown game 'zzz': there are: kuhn, leduc"
    assert str(unknown("game", "zzz", [])) == "unknown game 'zzz': there are none"


def test_a_missing_extra_comes_with_the_command_that_installs_it() -> None:
    assert require("math", "bench") is math
    with pytest.raises(InputError, match=r'no_such_module is not installed: pip install "sparring\[bench\]"'):
        require("no_such_module", "bench")


USERS = """\
import json

def divides(x):
    return 1 / x

def reads(text):
    return json.loads(text)

def calls(work):
    work()

class Made:
    pass
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of a user."""
    (tmp_path / "usersown.py").write_text(USERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "usersown", raising=False)
    return importlib.import_module("usersown")


def said(work: Callable[[], object], source: object = None) -> str:
    with pytest.raises(InputError) as refused, foreign("game mine:make", "a game", source):
        work()
    return str(refused.value)


def test_an_error_in_other_peoples_code_names_their_line(users: Any, tmp_path: Path) -> None:
    """The line numbers are those of `USERS`: of the deepest frame that is neither ours nor a library's."""
    line = said(lambda: users.divides(0))
    file = tmp_path / "usersown.py"
    assert line == f"game mine:make: expected a game; it raised ZeroDivisionError: division by zero ({file}:4)"
    line = said(lambda: users.reads("no JSON"))
    assert "JSONDecodeError" in line and line.endswith(f"({file}:7)")
    assert "\n" not in said(lambda: users.calls(lambda: raises(ValueError("two\nlines"))))


def test_a_call_that_does_not_fit_names_the_function(users: Any, tmp_path: Path) -> None:
    """The error is raised before the first line of the function runs."""
    with pytest.raises(InputError) as refused, foreign("game mine:make", "num_games", users.divides):
        users.divides(num_games=3)
    assert "unexpected keyword argument 'num_games'" in str(refused.value)
    assert str(refused.value).endswith(f"({tmp_path / 'usersown.py'}:3)")


def test_a_file_with_a_syntax_error_names_the_line_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unfinished.py").write_text("x = 1\ndef f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    line = said(lambda: importlib.import_module("unfinished"))
    assert line.endswith(f"({tmp_path / 'unfinished.py'}:2)") and "SyntaxError" in line


def test_a_module_that_ends_the_program_is_an_error_of_the_module() -> None:
    assert "it raised SystemExit: 0" in said(lambda: raises(SystemExit(0)))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, InputError, NoPicture, MemoryError])
def test_what_is_not_the_users_fault_passes(kind: type[BaseException]) -> None:
    with pytest.raises(kind), foreign("game mine:make"):
        raise kind


def test_our_own_errors_stay_internal() -> None:
    """A function of this package that fails without code of anybody else is our fault, and keeps its traceback."""
    with pytest.raises(TypeError), foreign("game mine:make"):
        errors.unknown("kind", "name", cast(Any, 3))


def test_the_place_of_a_definition(users: Any, tmp_path: Path) -> None:
    file = tmp_path / "usersown.py"
    assert place(users.divides) == f"{file}:3"
    assert place(users.Made) == place(users.Made()) == f"{file}:12"
    assert place(3) == place(None) == place(json.dumps(1)) == ""


def raises(error: BaseException) -> None:
    raise error


def test_the_first_difference_of_settings_is_named_with_its_way() -> None:
    before = {"a": 1, "inner": {"seed": 0, "steps": 5}, "z": None}
    assert changed(before, dict(before)) is None
    assert changed(before, {**before, "inner": {"seed": 3, "steps": 5}}) == ("inner.seed", 0, 3)
    assert changed(before, {**before, "inner": None}) == ("inner", {"seed": 0, "steps": 5}, None)
    assert changed(before, {"z": 2, "inner": before["inner"]}) == ("a", 1, None)
