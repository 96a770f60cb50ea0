"""Run folders: what was asked for, how far it got, what happened, and how to go on from there.

A run is one folder:

- `config.json`: game, verb, seed, command line, resolved settings, versions;
- `status.json`: `state` (running, done, interrupted, failed), steps `done` of `total`, `message`,
  time of the last update, `seconds` of work on it, pauses not counted;
- `events.jsonl`: one JSON object per line, in order. It carries no clock, so that a resumed run writes the same file
  as an uninterrupted one;
- `checkpoint.safetensors`: the last state from which the run can go on;
- `manifest.json`: size and SHA-256 of every result, once the run is done.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from sparring import checkpoint
from sparring.console import Stopped
from sparring.errors import InputError
from sparring.events import EVENTS, cut_events, event_in
from sparring.files import made, plain, read_json, write_atomic, write_json

State = Literal["running", "done", "interrupted", "failed"]

CONFIG, STATUS = "config.json", "status.json"
CHECKPOINT, MANIFEST, LOCK = "checkpoint.safetensors", "manifest.json", ".lock"
LOG = "log.txt"  # of a job in a process of its own
_EVENTS_KEY = "events_bytes"
# Not results: what describes the run itself, and the report, which can be made again from the audit at any time.
_NO_RESULTS = frozenset({STATUS, MANIFEST, LOCK, "report.html"})
# What a run has before it has done anything.
_ITSELF = frozenset({CONFIG, STATUS, LOCK, LOG})
_INTERRUPTIONS = (Stopped, KeyboardInterrupt, GeneratorExit, SystemExit)
_UNKNOWN: dict[str, Any] = {"state": "interrupted", "done": 0, "total": 0, "message": "", "seconds": 0.0}


@dataclass(frozen=True)
class Run:
    """A run folder that this process holds the lock of. Use it as a context manager: leaving releases the lock.

    Leaving without `finish` marks the run failed if an exception was the cause, else (and for Ctrl-C) interrupted.
    """

    folder: Path
    config: Mapping[str, Any]
    _lock: FileLock
    _begun: float  # by `time.monotonic`, or when it would have been without pauses
    _made: tuple[Path, ...] = ()  # the folder and those above it that were made for it, the deepest first

    @classmethod
    def create(
        cls,
        out: Path | None,
        game: str,
        verb: str,
        seed: int,
        settings: Mapping[str, Any],
        command: Sequence[str] = (),
        inputs: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run in the folder `out`, or in `runs/<game>__<verb>__<seed>__<time>` (UTC).

        Args:
          out: a folder that does not exist yet or is empty.
          game: the game's id.
          verb: what is done: `audit`, `attack`, ...
          seed: the run's root seed.
          settings: all resolved settings, as plain JSON.
          command: the command line's words; empty when called from Python.
          inputs: SHA-256 of the files that it reads, by name, which must be the same when it is resumed.

        Raises:
          InputError: the seed is negative, or the folder cannot be made, is not empty, or another process is working
            in it.
        """
        check_seed(seed)
        now = datetime.now(UTC)
        safe = re.sub(r"[^A-Za-z0-9._=-]+", "-", game)[:100].strip("-.")
        folder = Path("runs") / f"{safe}__{verb}__{seed}__{now:%Y%m%dT%H%M%S.%f}" if out is None else Path(out)
        new = tuple(path for path in (folder, *folder.parents) if not path.exists())
        made(folder)
        known = (folder / LOCK).exists()
        lock = _lock(folder)
        try:
            if (folder / CONFIG).exists():
                raise InputError(f"{folder} already holds a run: sparring resume {folder}, or choose another --out")
            if any(path.name != LOCK for path in folder.iterdir()):
                raise InputError(f"{folder} is not empty and holds no run: choose another --out")
            config = {
                "game": game,
                "verb": verb,
                "seed": seed,
                "command": shlex.join(command),
                "settings": plain(settings),
                "inputs": dict(inputs or {}),
                "started": now.isoformat(timespec="seconds"),
                "versions": versions(),
            }
            run = cls(folder, config, lock, time.monotonic(), new)
            run._set_status("running", 0, 0, "")
            write_json(folder / CONFIG, config)  # last: it makes the folder a run
        except BaseException:
            lock.release()
            if not known:
                (folder / LOCK).unlink(missing_ok=True)
            raise
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Take up an existing run where its last checkpoint left it: events that came later are cut.

        A run without a checkpoint keeps its events: those of trainings that are finished cannot be had again, and the
        one that was not drops its own when it begins anew (`forget`). The status need not be readable.

        Raises:
          InputError: `folder` is no run, its checkpoint is damaged, another process is working in it, or the run is
            done and its files are not as it left them.
        """
        folder = Path(folder)
        config = read_config(folder)
        lock = _lock(folder)
        try:
            try:
                status = read_status(folder)
            except InputError:
                status = _UNKNOWN  # it only says how far the run got and how long that took
            if status["state"] == "done" and (changed := differences(folder)):
                name, how = next(iter(changed.items()))
                raise InputError(f"{folder / name} {how}: put it back as it was, or start a new run")
            run = cls(folder, config, lock, time.monotonic() - status["seconds"])
            restored = run.load()
            cut_events(folder / EVENTS, restored[1][_EVENTS_KEY] if restored else None)
            for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
                leftover.unlink(missing_ok=True)
            run._set_status("running", status["done"], status["total"], "")
        except BaseException:
            lock.release()
            raise
        return run

    def event(self, **fields: Any) -> None:
        """Append one event, e.g. `run.event(step=4096, win=0.25)`. Values as for `plain`.

        Raises:
          InputError: a value is not plain JSON, or the file cannot be written.
        """
        line = json.dumps(plain(fields)) + "\n"
        try:
            with open(self.folder / EVENTS, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise InputError(f"cannot write {self.folder / EVENTS}: {error.strerror}") from None

    def forget(self, training: str) -> None:
        """Drop the events of one training, which begins anew; those of all others stay.

        Raises:
          InputError: the file cannot be written.
        """
        path = self.folder / EVENTS
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if (event_in(line) or {}).get("training") != training]
        if len(kept) < len(lines):
            # It counts on bytes that are about to go, and it is another training's, which has not begun.
            (self.folder / CHECKPOINT).unlink(missing_ok=True)
            write_atomic(path, b"".join(kept))

    def save(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Write the checkpoint; `open` will go back to this point, events included.

        Raises:
          InputError: as `checkpoint.save`.
        """
        events = self.folder / EVENTS
        size = 0
        if events.exists():
            with open(events, "rb") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
        checkpoint.save(self.folder / CHECKPOINT, arrays, {**meta, _EVENTS_KEY: size})

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the record of the last checkpoint, or None if none was written yet.

        Raises:
          InputError: as `checkpoint.load`.
        """
        path = self.folder / CHECKPOINT
        return checkpoint.load(path) if path.exists() else None

    def progress(self, done: int, total: int) -> None:
        """Record that `done` of `total` steps are done."""
        self._set_status("running", done, total, "")

    def finish(self, state: State = "done", message: str = "") -> None:
        """Record how the run ended; a run that is done gets its manifest."""
        if state == "done":
            write_json(self.folder / MANIFEST, _manifest(self.folder))
        status = read_status(self.folder)
        self._set_status(state, status["done"], status["total"], message)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if read_status(self.folder)["state"] != "running":
                return  # `finish` has said how it ended
            if kind is None or issubclass(kind, _INTERRUPTIONS):
                self.finish("interrupted")
            else:
                self.finish("failed", f"{kind.__name__}: {error}")
        finally:
            self._lock.release()

    def discard(self) -> None:
        """Remove what a run has left that did nothing: its folder holds no more than what describes the run itself.

        For a run that ended because its input was bad, after leaving it. Folders that were there before it stay.
        """
        if not self.folder.is_dir():  # somebody has removed it meanwhile
            return
        if any(path.name not in _ITSELF for path in self.folder.rglob("*") if path.is_file()):
            return
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        with suppress(OSError):  # another run's folder is in it
            for path in self._made:
                path.rmdir()

    def _set_status(self, state: State, done: int, total: int, message: str) -> None:
        status = {
            "state": state,
            "done": int(done),
            "total": int(total),
            "message": message,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._begun, 1),
        }
        write_json(self.folder / STATUS, status)


def read_config(folder: Path) -> dict[str, Any]:
    """A run's `config.json`.

    Raises:
      InputError: `folder` is no run.
    """
    path = Path(folder) / CONFIG
    if not path.exists():
        raise InputError(f"{folder} is no run: expected a folder with {CONFIG} in it")
    return read_json(path)


def read_status(folder: Path) -> dict[str, Any]:
    """A run's `status.json`: `state`, `done`, `total`, `message`, `updated`, `seconds`; needs no lock.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = Path(folder) / STATUS
    status = read_json(path)
    for name, expected in _UNKNOWN.items():
        kind = (int, float) if name == "seconds" else type(expected)
        if not isinstance(status.get(name), kind):
            raise InputError(f"{path}: expected {name} to be like {expected!r}, got {status.get(name)!r}")
    return status


def differences(folder: Path) -> dict[str, str]:
    """What is not as the run left it: in words, by file, in the order of their names.

    Raises:
      InputError: `folder` is no run, the run is not done, its manifest is damaged, or a file cannot be read.
    """
    folder = Path(folder)
    read_config(folder)
    if not (folder / MANIFEST).exists():
        if state_of(folder) == "done":
            raise InputError(
                f"{folder} has no {MANIFEST} any more: nothing tells whether its files are as the run left them; put "
                "it back, or do the run anew in another folder"
            )
        raise InputError(f"{folder} has no {MANIFEST}: the run is not done; sparring resume {folder} goes on with it")
    expected, now = read_json(folder / MANIFEST), _manifest(folder)
    different = {}
    for name in sorted(expected.keys() | now.keys()):
        if name not in now:
            different[name] = "is missing"
        elif name not in expected:
            different[name] = "was added after the run was done"
        elif now[name] != expected[name]:
            sizes = [entry.get("bytes") if isinstance(entry, dict) else None for entry in (expected[name], now[name])]
            grew = f"has {sizes[1]} bytes instead of {sizes[0]}" if sizes[0] != sizes[1] else "has other content"
            different[name] = f"was changed after the run was done: it {grew}"
    return different


def state_of(folder: Path) -> str | None:
    """A run's state; None: its file is missing or damaged."""
    try:
        return read_status(folder)["state"]
    except InputError:
        return None


def check_seed(seed: int) -> int:
    """The root seed of a run, if it can be one.

    Raises:
      InputError: it is no integer, or negative.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"seed: expected an integer of at least 0, got {seed!r}")
    return int(seed)


def versions() -> dict[str, str]:
    """What a result depends on besides the settings. Loads none of the libraries."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in ("sparring", "numpy", "jax", "mujoco"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _lock(folder: Path) -> FileLock:
    lock, who = FileLock(folder / LOCK, timeout=0), ""
    with suppress(OSError, ValueError):
        who = f" {int((folder / LOCK).read_text())}"  # read first: asking for the lock empties its file
    try:
        lock.acquire()
        (folder / LOCK).write_text(str(os.getpid()))
    except Timeout:
        raise InputError(
            f"another process{who} is working in {folder}: wait for it, stop it, or use another folder"
        ) from None
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror}; choose another --out") from None
    return lock


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    manifest = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _NO_RESULTS:
            try:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise InputError(f"cannot read {path}: {error.strerror}") from None
            manifest[path.relative_to(folder).as_posix()] = {"sha256": digest, "bytes": path.stat().st_size}
    return manifest
