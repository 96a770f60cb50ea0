"""The one exception that means "the input was wrong"."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_OURS = str(Path(__file__).parent) + os.sep
# Where libraries lie: an error that is raised there is explained by the line of the user's code that called it.
_LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class InputError(ValueError):
    """Bad input: what, where, expected, got, and what to do, in one line.

    The command line prints the message alone and exits with code 2.
    """


class CannotWrite(InputError):
    """A file cannot be written, as on a full disk: what was done before is not lost by it."""


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a `name` that is none of the `known` ones, with the nearest of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) if isinstance(name, str) else []
    there_are = f"there are: {', '.join(known)}" if known else "there are none"
    hint = f"did you mean {' or '.join(near)}?" if near else there_are
    return InputError(f"unknown {kind} {' '.join(repr(name).split())}: {hint}")


def check_type(what: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """Refuse what is of another type, as a Python caller may give it.

    Args:
      what: the argument.
      value: what was given for it.
      kinds: as `isinstance` takes them; protocols, too.
      expected: what it should be, in words.

    Raises:
      InputError: it is not.
    """
    if not isinstance(value, kinds) or isinstance(value, type):
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise InputError(f"{what}: expected {expected}, got {got}")


def require(module: str, extra: str) -> ModuleType:
    """Import a module that an optional extra of this package brings.

    Raises:
      InputError: it is not installed; the message is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # What is missing may also be something that the module itself needs.
        missing = (error.name or module).partition(".")[0]
        raise InputError(f'{missing} is not installed: pip install "sparring[{extra}]"') from error


class NoPicture(RuntimeError):
    """This machine or game cannot draw; the message says why in one line. Everything but pictures works."""


@contextmanager
def foreign(what: str, expected: str = "", source: Any = None) -> Iterator[None]:
    """Run code of somebody else: an exception that it raises becomes one line that names their file and line.

    Put only the call itself inside: `with foreign("game mine:make", "a function", make): make(num_games=8)`.
    Ctrl-C, `InputError`, `NoPicture` and the end of memory pass as they are. So does an error that comes
    from a function of this package, without code of anybody else: that one is ours.

    Args:
      what: whose code it is, as the user named it.
      expected: what the code should be, for the message.
      source: the function, class or object that is called. Its file and line are named where the error was raised
        before the user's code ran, as for a function that does not take the arguments.

    Raises:
      InputError: the code raised an exception or called `sys.exit`.
    """
    try:
        yield
    except (InputError, NoPicture, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        where = _place_of_error(error, source)
        if where is None:
            raise
        wanted = f"expected {expected}; " if expected else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)  # `where` says the rest of it
        said = f"{type(error).__name__}: {' '.join(message.split())}".removesuffix(": ")
        raise InputError(f"{what}: {wanted}it raised {said}{f' ({where})' if where else ''}") from error


def factory(kind: str, path: str) -> Callable[..., Any]:
    """The function that a user names as `package.module:factory`.

    Args:
      kind: what it makes, for the messages: `game` or `policy`.
      path: module and name.

    Raises:
      InputError: `path` has another form, there is no such module, the module raises an exception while it is
        imported, or it has no such function.
    """
    module_name, _, name = path.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise InputError(f"{kind} {path!r}: expected package.module:factory, such as mygame:make")
    try:
        with foreign(f"{kind} {path!r}", f"a module {module_name} that can be imported"):
            module = importlib.import_module(module_name)
    except InputError as error:
        absent = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if absent is not None and f"{module_name}.".startswith(f"{absent}."):
            raise InputError(
                f"{kind} {path!r}: there is no module {absent} in {os.getcwd()} or among the installed ones; install "
                "it, or run from the folder that holds it"
            ) from error
        raise
    if not hasattr(module, name):
        public = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        raise unknown(f"function in {module_name}", name, public)
    found = getattr(module, name)
    if not callable(found):
        where = getattr(module, "__file__", module_name)
        raise InputError(f"{kind} {path!r}: expected a function, got {type(found).__name__} ({where})")
    return found


def place(source: Any) -> str:
    """`file:line` of the definition of a function, a class, or an object's class; empty if there is no such file."""
    for candidate in (source, type(source)):
        try:
            candidate = inspect.unwrap(candidate)
            file = inspect.getsourcefile(candidate)
            line = inspect.getsourcelines(candidate)[1]
        except (TypeError, OSError, ValueError):
            continue
        return f"{file}:{line}" if file else ""
    return ""


def _place_of_error(error: BaseException, source: Any) -> str | None:
    """`file:line` of the deepest frame in the user's code; None if the error is this package's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    below = traceback.extract_tb(error.__traceback__)[2:]  # the first two are `foreign` and the caller's `with`
    frames = [frame for frame in below if not frame.filename.startswith("<")]
    theirs = [frame for frame in frames if not frame.filename.startswith((_OURS, *_LIBRARIES))]
    if theirs:
        return f"{theirs[-1].filename}:{theirs[-1].lineno}"
    if any(frame.filename.startswith(_OURS) for frame in frames):
        return None
    if frames:  # a library alone, such as a game that was installed as a package
        return f"{frames[-1].filename}:{frames[-1].lineno}"
    return place(source) if source is not None else ""


def changed(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> tuple[str, Any, Any] | None:
    """The first setting that differs, and what it was and is; of settings within settings, `name.name`."""
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was != now:
            if isinstance(was, Mapping) and isinstance(now, Mapping):
                return changed(was, now, f"{within}{name}.")
            return f"{within}{name}", was, now
    return None
