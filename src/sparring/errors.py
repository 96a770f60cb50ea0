"""The one exception that means "the input was wrong"."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class InputError(ValueError):
    """Bad input: what, where, expected, got, and what to do, in one line.

    The command line prints the message alone and exits with code 2.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a `name` that is none of the `known` ones, with the nearest of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}: {hint}")


def require(module: str, extra: str) -> ModuleType:
    """Import a module that an optional extra of this package brings.

    Raises:
      InputError: it is not installed; the message is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # What is missing may also be something that the module itself needs.
        raise InputError(f'{error.name} is not installed: pip install "sparring[{extra}]"') from error


class NoPicture(RuntimeError):
    """This machine or game cannot draw; the message says why in one line. Everything but pictures works."""
