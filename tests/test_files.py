from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.files import check_file, plain, read_json, write_atomic, write_json


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*taken: Is a directory; choose another folder"):
        write_atomic(tmp_path / "taken", b"data")
    with pytest.raises(InputError, match="No such file or directory"):
        write_atomic(tmp_path / "nowhere" / "x", b"data")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["taken", "x"]  # and nothing half-written


def test_what_cannot_be_read_in_one_go_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1234")
    check_file(tmp_path / "x", 4)
    with pytest.raises(InputError, match="x has 4 bytes, expected at most 3"):
        check_file(tmp_path / "x", 3)
    with pytest.raises(InputError, match="No such file"):
        check_file(tmp_path / "none", 3)
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    with pytest.raises(InputError, match="expected a regular file"):
        check_file(tmp_path / "pipe", 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: np.float32(0.5), "a": (np.int64(2), None)}, {"1": 0.5, "a": [2, None]}),
        ([float("nan"), np.inf, np.array([1.0, -np.inf])], [None, None, [1.0, None]]),
        (Path("a/b"), "a/b"),
        (np.bool_(True), True),
    ],
)
def test_plain_json(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [1, 0.1, "b", None, True]})
    assert read_json(tmp_path / "x.json") == {"a": [1, 0.1, "b", None, True]}
    with pytest.raises(InputError, match="expected plain JSON, got object"):
        write_json(tmp_path / "x.json", {"a": object()})
    assert read_json(tmp_path / "x.json")["a"][2] == "b"


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "[" * 10**5])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(tmp_path / "x.json")
