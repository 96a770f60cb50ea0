"""`sparring resume`: go on with an interrupted run where it stopped; `cli` carries the run's own command out."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.commands.folder import FolderSettings


@dataclass(frozen=True)
class Settings(FolderSettings):
    """Go on with an interrupted run: with its settings, to the result that it would have had without the pause.

    Example: sparring resume runs/DIR
    """
