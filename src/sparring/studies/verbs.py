"""Verbs that a study runs on its way, each in a run folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparring.runs import CONFIG


def result_of(verb: str, folder: Path, game: str, **settings: Any) -> Mapping[str, Any]:
    """The result of a verb whose run folder is `folder`: begun, gone on with, or read where it is finished."""
    from sparring.commands.common import accepted, perform, verb_module

    if not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed before it had begun
    given = accepted(verb_module(verb).Settings, game=game, out=str(folder), **settings)
    return perform(verb, given, resume=folder if (folder / CONFIG).exists() else None)
