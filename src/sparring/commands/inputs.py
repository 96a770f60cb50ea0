"""Which files a run reads: what it is resumed with must be what it was begun with."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from sparring.errors import InputError
from sparring.files import path_of
from sparring.runs import CONFIG

_NO_INPUTS = ("out", "summary", "config", "json", "dry_run")
_KINDS = (".safetensors", ".json")  # the policies of a run folder


def inputs_of(settings: Any) -> dict[str, str]:
    """SHA-256 of every file that a verb's settings name, by path: policies, games, the policies of run folders.

    The module of a user's factory counts, what it imports does not. Call it when the settings have been resolved: only
    then a factory's module is known.
    """
    found: dict[str, str] = {}
    for field in fields(settings):
        if field.name not in _NO_INPUTS:
            for word in _words(getattr(settings, field.name)):
                for path in _files(word):
                    found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check_inputs(begun: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuse to go on with other files than a run was begun with.

    Raises:
      InputError: a file has changed, or is not there any more.
    """
    for name, digest in begun.items():
        if now.get(name) != digest:
            how = "has changed since" if name in now else "was there when"
            raise InputError(f"{name} {how} this run was begun: put it back as it was, or start a new run")


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _words(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _words(part)


def _files(word: str) -> Iterator[Path]:
    """The files that one word names: `FORMAT:PATH`, `FAMILY/PATH` or a path, with options after commas or without."""
    module = sys.modules.get(word.partition(":")[0]) if ":" in word else None
    if (source := getattr(module, "__file__", None)) is not None and not word.startswith("sparring."):
        yield Path(source)
        return
    for text in {word, word.partition(":")[2], word.partition("/")[2]}:
        for name in {text, path_of(text)[0]} - {""}:
            path = Path(name)
            try:
                if path.is_file():
                    yield path
                elif (path / CONFIG).is_file():
                    yield from sorted(p for p in path.iterdir() if p.suffix in _KINDS and p.name not in _ITS_OWN)
            except OSError:  # no path at all: too long, say
                continue


_ITS_OWN = (CONFIG, "status.json", "manifest.json", "checkpoint.safetensors")
