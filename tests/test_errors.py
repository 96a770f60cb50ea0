"""Errors that say what to do."""

from __future__ import annotations

import math

import pytest

from sparring.errors import InputError, require, unknown


def test_an_unknown_name_comes_with_the_nearest_ones() -> None:
    assert str(unknown("game", "kuhm", ["kuhn", "leduc"])) == "unknown game 'kuhm': did you mean kuhn?"
    assert str(unknown("game", "zzz", ["kuhn", "leduc"])) == "unknown game 'zzz': there are: kuhn, leduc"


def test_a_missing_extra_comes_with_the_command_that_installs_it() -> None:
    assert require("math", "bench") is math
    with pytest.raises(InputError, match=r'no_such_module is not installed: pip install "sparring\[bench\]"'):
        require("no_such_module", "bench")
