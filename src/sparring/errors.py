"""The one exception that means "the input was wrong"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def missing_extra(extra: str, module: str) -> InputError:
    """The error for a `module` that an optional `extra` brings and that is not installed."""
    return InputError(f'{module} is not installed: pip install "sparring[{extra}]"')


class NoPicture(RuntimeError):
    """This machine or game cannot draw; the message says why in one line. Everything but pictures works."""
