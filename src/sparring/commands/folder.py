"""What the commands have in common that look at a run which exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class FolderSettings:
    """Arguments of the commands that look at a run."""

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """A run folder, as audit, attack and the others print it."""
    json: bool = False
    """Print one JSON object on standard output and nothing else there."""
