from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.files import check_file, check_target, made, plain, read_json, write_atomic, write_json


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


def test_where_a_file_is_to_be_written_is_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_target(Path("s.md"), "summary")
    check_target(Path("new/s.md"), "summary", made=tmp_path / "new")
    (tmp_path / "taken").mkdir()
    for path, message in (
        ("new/s.md", "summary new/s.md: there is no folder new: make it"),
        ("taken", "summary taken: this is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            check_target(Path(path), "summary")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_folder_is_made_or_it_is_said_why_not(tmp_path: Path) -> None:
    assert made(tmp_path / "a/b").is_dir() and made(str(tmp_path / "a/b")) == tmp_path / "a/b"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot make the folder .*file: File exists; choose another one with --out"):
        made(tmp_path / "file")
    with pytest.raises(InputError, match="folder: expected its name, got int"):
        made(3)  # pyright: ignore[reportArgumentType]  # wrong on purpose
