"""`sparring report`: make an audit's report again, from what the audit recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.commands.folder import FolderSettings


@dataclass(frozen=True)
class Settings(FolderSettings):
    """Write the report of a finished audit again; nothing is played or trained.

    Example: sparring report runs/DIR
    """


def answer(settings: Settings) -> dict[str, Any]:
    from sparring.report.html import rewrite_report

    return {"report": str(rewrite_report(Path(settings.folder)).resolve())}


def text(result: dict[str, Any]) -> str:
    return result["report"]
