"""Pages from the templates in this folder: each is one HTML file that needs no network and no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def rendered(name: str, values: dict[str, Any]) -> str:
    """The page of the template `name`; what is no `Markup` is escaped, and a value that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(values)


def shell(command: str) -> str:
    """A command for a shell; of a run that was made in Python a comment, which a shell passes over."""
    return command if command.startswith("sparring ") else f"# {command}"
