"""What a program and the person at the terminal say to each other: exit codes, interruptions and progress."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

from sparring.errors import InputError

SETTLED = 1e-13  # of the size of numbers: a difference that is no more than this is none
DONE, FINDING, BAD_INPUT, INTERNAL, CANNOT_TELL, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Stopped(Exception):
    """The user asked to stop, and what was reached so far has been saved."""


# Whether Ctrl-C or SIGTERM has come in the work of a program; None: this is none of ours. Where Python ignores
# exceptions, as in callbacks of other libraries, the KeyboardInterrupt is lost, and this alone remembers.
_asked: bool | None = None


def remember() -> None:
    """Let a program that handles signals by `interrupt` remember that it was asked to stop."""
    global _asked
    _asked = False


def exit_code(program: str, work: Callable[[], int], apart: bool = False) -> int:
    """Do the work of a program and return its exit code; bad input and interruptions get one line, and no traceback.

    With `apart`, standard output carries what Python prints on it and nothing else: what libraries in other languages
    write to its descriptor goes to standard error.

    SIGTERM interrupts as Ctrl-C does. A program whose output nobody reads any more, as after `| head`, ends as it would
    have ended, whoever prints: 0 always means that the work is finished.
    """
    global _asked
    remember()
    try:
        with _read_or_not("stderr"):
            return _exit_code(program, work, apart)
    finally:
        _asked = None


def _exit_code(program: str, work: Callable[[], int], apart: bool) -> int:
    try:
        with _handled(interrupt, signal.SIGINT, signal.SIGTERM), _read_or_not("stdout", apart):
            code = work()
            with _unread(sys.stdout):
                sys.stdout.flush()
    except InputError as error:
        say(f"{program}: {' '.join(str(error).split())}", sys.stderr)
        code = BAD_INPUT
    except KeyboardInterrupt:
        say(f"{program}: interrupted", sys.stderr)
        code = INTERRUPTED
    except MemoryError as error:
        said = f" ({' '.join(str(error).split())})" if str(error) else ""
        say(f"{program}: there is not enough memory{said}: choose smaller numbers, or a machine with more", sys.stderr)
        code = BAD_INPUT
    except Exception:
        say(f"{traceback.format_exc()}{program}: internal error; the lines above say where", sys.stderr)
        code = INTERNAL
    return code


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text on standard output, or another stream; nothing happens where nobody reads it any more.

    Raises:
      InputError: standard output cannot be written, as on a full disk.
    """
    stream = sys.stdout if file is None else file
    with _unread(stream):
        print(text, file=stream, flush=True)


def number(value: float, form: str) -> str:
    """A number for people, as `format` writes it; what rounds to zero has no sign."""
    text = format(value, form)
    return text if text.strip("+-0.%") else text.lstrip("+-")


def settled(value: float, unit: float) -> float:
    """A difference of computed numbers, or 0.0 where it is no more than their rounding.

    Args:
      value: the difference.
      unit: the size of the numbers, such as the range of a game's payoffs.
    """
    return 0.0 if abs(value) <= SETTLED * unit else value


def payoff(value: float, unit: float) -> str:
    """A value in a game's payoffs for people: six decimals, or seven digits where the payoffs are far from 1.

    Args:
      value: what is shown; where it is rounding, as 0.
      unit: the size of the values that it stands beside.
    """
    return number(settled(value, unit), ".6f" if unit == 0 or 1e-2 <= unit < 1e7 else ".7g")


class _Anyway(io.FileIO):
    """A descriptor that takes what nobody reads any more: its pipe's reader has left, or its terminal is closed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._gone = (errno.EPIPE, errno.EIO) if self.isatty() else (errno.EPIPE,)

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in self._gone:
                raise
            return memoryview(data).nbytes


@contextmanager
def _read_or_not(name: str, apart: bool = False) -> Iterator[None]:
    """Let everybody print on a standard stream, also users' functions and libraries, whether or not it is still read.

    A stream that somebody has put in its place is left alone. With `apart`, the stream moves to another descriptor, and
    its own becomes that of standard error.
    """
    before = getattr(sys, name)
    if before is None:  # closed from the start: it takes the descriptor, on which the next file would be opened
        with open(os.devnull, "w") as nowhere:
            setattr(sys, name, nowhere)
            try:
                yield
            finally:
                setattr(sys, name, None)
        return
    if before is not getattr(sys, f"__{name}__"):
        yield
        return
    with suppress(OSError, ValueError):
        before.flush()
    own = descriptor = before.fileno()
    if apart:
        with suppress(OSError):  # without standard error there is nowhere to send it
            descriptor = os.dup(own)
            os.dup2(2, own)
    buffered = io.BufferedWriter(_Anyway(descriptor))
    setattr(
        sys,
        name,
        io.TextIOWrapper(
            buffered,
            before.encoding,
            before.errors,
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        ),
    )
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            getattr(sys, name).flush()
        setattr(sys, name, before)
        if descriptor != own:
            os.dup2(descriptor, own)
            os.close(descriptor)


@contextmanager
def _unread(stream: TextIO) -> Iterator[None]:
    """Write to a stream; if its reader has left, what is written from now on goes nowhere."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise InputError(f"standard output cannot be written: {error}") from None
        # Else what is left in the stream's buffer would fail again when Python exits, and change the exit code.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a flag that a driver polls between rounds, so that it can save and stop.

    Yields a function that tells whether a stop was requested. A second signal raises KeyboardInterrupt at once. Python
    delivers signals to the main thread alone: elsewhere nothing is changed and the flag stays down.
    """
    requested = bool(_asked)

    def handle(number: int, frame: object) -> None:
        nonlocal requested
        if requested:
            interrupt(number, frame)
        requested = True
        # Not print: a handler may run in the middle of a buffered write.
        with suppress(OSError):  # nobody reads it
            os.write(2, b"\nstopping after this round (once more to stop at once)\n")

    with _handled(handle, signal.SIGINT, signal.SIGTERM):
        yield lambda: requested


def interrupt(number: int, frame: object) -> None:
    """What Ctrl-C and SIGTERM do: KeyboardInterrupt; where that is lost, the next `interruptible` stops at once."""
    del number, frame
    global _asked
    if _asked is not None:
        _asked = True
    raise KeyboardInterrupt


@contextmanager
def _handled(handle: Callable[[int, object], None], *numbers: signal.Signals) -> Iterator[None]:
    """Handle these signals so; outside the main thread, where Python lets nobody, change nothing."""
    before = {}
    try:
        for number in numbers:
            before[number] = signal.signal(number, handle)
    except ValueError:
        pass  # not the main thread
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class Advance(Protocol):
    def __call__(self, done: int, note: str = "") -> None:
        """Show that `done` steps are done, with a few words on how it goes."""
        ...


@contextmanager
def progress(total: int, description: str, every: float = 10.0) -> Iterator[Advance]:
    """Show progress on standard error: a bar on a terminal, else a plain line at most `every` seconds.

    It never ends the work: where nobody reads standard error any more, nothing is shown.
    """
    bar = _bar if sys.stderr.isatty() else _lines
    with bar(total, description, every) as advance:
        yield advance


@contextmanager
def _bar(total: int, description: str, every: float) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    del every
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    shown = Progress(*columns, console=Console(stderr=True))
    task = shown.add_task(description, total=total, note="")

    def advance(done: int, note: str = "") -> None:
        with _unread(sys.stderr):
            shown.update(task, completed=done, note=note)

    with _unread(sys.stderr):
        shown.start()
    try:
        yield advance
    finally:
        with _unread(sys.stderr):
            shown.stop()


@contextmanager
def _lines(total: int, description: str, every: float) -> Iterator[Advance]:
    last = time.monotonic()
    # The first line's time and steps: what was done before it may have been an earlier process's.
    first: tuple[float, int] | None = None

    def advance(done: int, note: str = "") -> None:
        nonlocal first, last
        now = time.monotonic()
        if now - last < every and done < total:
            return
        last = now
        left = ""
        if first is None:
            first = now, done
        elif first[1] < done < total:
            left = f", {(now - first[0]) / (done - first[1]) * (total - done):.0f} s left"
        say(f"{description}: {done}/{total}{left}{', ' + note if note else ''}", sys.stderr)

    yield advance
