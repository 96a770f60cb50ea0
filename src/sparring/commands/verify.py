"""`sparring verify`: whether the files of a finished run are as the run left them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.commands.folder import FolderSettings
from sparring.files import read_json
from sparring.runs import MANIFEST, differences


@dataclass(frozen=True)
class Settings(FolderSettings):
    """Compare the files of a finished run with its manifest: their sizes and SHA-256.

    The report is not compared, for it can be made again at any time. The exit code is 1 if a file differs.

    Example: sparring verify runs/DIR
    """


def answer(settings: Settings) -> dict[str, Any]:
    """`files`, how many the manifest names, and `different`, in words by file.

    Raises:
      InputError: no run, one that is not done, or a damaged manifest.
    """
    folder = Path(settings.folder)
    different = differences(folder)
    return {"run": str(folder), "files": len(read_json(folder / MANIFEST)), "different": different}


def text(result: dict[str, Any]) -> str:
    if not result["different"]:
        return f"{result['run']}: all {result['files']} files are as the run left them"
    return "\n".join(f"{Path(result['run']) / name} {what}" for name, what in result["different"].items())


def finding(settings: Settings, result: dict[str, Any]) -> bool:
    del settings
    return bool(result["different"])
