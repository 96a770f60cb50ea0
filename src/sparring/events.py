"""`events.jsonl` of a run folder: what happened in it, one JSON object a line, in order."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from sparring.console import say
from sparring.errors import InputError
from sparring.files import check_file

EVENTS = "events.jsonl"
MAX_EVENTS_BYTES = 2**30


def read_events(folder: Path) -> list[dict[str, Any]]:
    """A run's events in order; needs no lock.

    A torn last line, of a process killed while it wrote, is left out. So are damaged lines before it: standard error
    says how many there are.

    Raises:
      InputError: the file cannot be read, or is too large.
    """
    path = Path(folder) / EVENTS
    if not path.exists():
        return []
    check_file(path, MAX_EVENTS_BYTES)
    *lines, _torn = path.read_bytes().split(b"\n")
    events = [event for line in lines if (event := event_in(line)) is not None]
    if len(events) < len(lines):
        say(f"{path}: {len(lines) - len(events)} of {len(lines)} lines are damaged and left out", sys.stderr)
    return events


def event_in(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None if the line is damaged."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def cut_events(path: Path, size: int | None) -> None:
    """Cut the file to the bytes that a checkpoint counts on; without a checkpoint, to its last whole line."""
    if not path.exists():
        if size:
            raise InputError(f"{path} is missing, but the checkpoint counts on {size} bytes of it")
        return
    if size is None:
        check_file(path, MAX_EVENTS_BYTES)
        size = path.read_bytes().rfind(b"\n") + 1
    found = path.stat().st_size
    if found < size:
        raise InputError(f"{path} has {found} bytes, but the checkpoint counts on {size}: it was cut or replaced")
    os.truncate(path, size)
