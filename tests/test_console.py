from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from sparring.console import BAD_INPUT, DONE, INTERRUPTED, exit_code, interruptible, number, progress


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_the_flag_and_a_second_one_stops(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with interruptible() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err.count("stopping after this round") == 1


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def body() -> None:
        with interruptible() as stop:
            seen.extend([stop(), signal.getsignal(signal.SIGINT)])

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [False, before]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_is_an_interruption(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        with interruptible():
            pass
        os.kill(os.getpid(), number)  # between two stretches that can save what they have
        raise AssertionError("not reached")

    found = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        before = signal.getsignal(number)
        assert exit_code("program", work) == INTERRUPTED
        assert capsys.readouterr().err == "program: interrupted\n"
        assert signal.getsignal(number) is before
    finally:
        signal.signal(signal.SIGINT, found)


def test_progress_without_a_terminal_is_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(4, "attack", every=0) as advance:
        for done in range(1, 5):
            advance(done, f"win {done}")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"attack: 1/4, win 1\nattack: 2/4, \d+ s left, win 2\n"
        r"attack: 3/4, \d+ s left, win 3\nattack: 4/4, win 4\n",
        err,
    )
    with progress(4, "attack", every=1000) as advance:
        for done in range(1, 5):
            advance(done)
    assert capsys.readouterr().err == "attack: 4/4\n"


def test_what_was_done_before_a_resumed_run_says_nothing_of_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr("sparring.console.time.monotonic", lambda: next(clock))
    with progress(1000, "attack", every=5) as advance:
        for done in (900, 910, 920):
            advance(done)
    assert capsys.readouterr().err == "attack: 900/1000\nattack: 910/1000, 90 s left\nattack: 920/1000, 80 s left\n"


def test_progress_on_a_terminal_is_a_bar() -> None:
    code = "from sparring.console import progress\nwith progress(3, 'attack [x]') as advance: advance(3, 'win [1]')"
    controller, terminal = os.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stderr=terminal, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"}
    )
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(controller, 4096):
            shown += data
    except OSError:  # Linux's word for the end of a closed terminal
        pass
    finally:
        os.close(controller)
    assert b"attack [x]" in shown
    assert b"3/3" in shown
    assert b"win [1]" in shown


PRINTS = """print("a user's function prints", flush=True)"""
UNREAD = f"""
import sys
from sparring.console import exit_code, progress, say

def work():
    with progress(3, "attack", every=0) as advance:
        for done in (1, 2, 3):
            advance(done)
            {PRINTS}
    open("finished", "w").close()
    say("the result")
    return 0

sys.exit(exit_code("program", work))
"""


@pytest.mark.parametrize("streams", ["stderr", "stdout", "both"])
def test_work_goes_on_when_nobody_reads_the_output(streams: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out, err = (writer if streams in (name, "both") else subprocess.PIPE for name in ("stdout", "stderr"))
    done = subprocess.run([sys.executable, "-c", UNREAD], stdout=out, stderr=err, cwd=tmp_path, text=True)
    os.close(writer)
    assert (tmp_path / "finished").exists() and done.returncode == DONE
    if streams == "stdout":
        assert done.stderr == "attack: 1/3\nattack: 2/3, 0 s left\nattack: 3/3\n"
    if streams == "stderr":
        assert done.stdout == 3 * "a user's function prints\n" + "the result\n"


def test_a_full_disk_under_the_output_is_an_error(tmp_path: Path) -> None:
    code = UNREAD.replace("every=0", "every=1000").replace(PRINTS, "")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, text=True
        )
    assert done.returncode == BAD_INPUT
    assert done.stderr.endswith("program: standard output cannot be written: [Errno 28] No space left on device\n")


def test_a_bar_goes_on_when_the_terminal_is_closed(tmp_path: Path) -> None:
    code = UNREAD.replace("advance(done)", "advance(done); done == 1 and os.close(controller)")
    code = code.replace("import sys", "import os, sys\ncontroller, terminal = os.openpty(); os.dup2(terminal, 2)", 1)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "TERM": "xterm"}
    )
    assert (tmp_path / "finished").exists() and done.returncode == DONE


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.004, "+.0f", "0"),
        (0.004, "+.0f", "0"),
        (-1e-17, ".1%", "0.0%"),
        (-0.0, ".4g", "0"),
        (-0.6, "+.0f", "-1"),
        (0.05, ".0%", "5%"),
        (-20.0, ".0f", "-20"),
    ],
)
def test_what_rounds_to_zero_has_no_sign(value: float, form: str, text: str) -> None:
    assert number(value, form) == text


def test_an_interruption_that_somebody_swallowed_stops_the_next_stretch() -> None:
    """As in callbacks of other libraries, where Python ignores exceptions."""

    def work() -> int:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with interruptible() as stop:
            return 7 if stop() else 8

    assert exit_code("program", work) == 7
    with interruptible() as stop:
        assert not stop()  # what comes after the program is not asked to stop


def test_what_others_write_on_standard_output_can_be_kept_apart() -> None:
    """A library in another language writes on the descriptor; Python prints on the stream."""
    program = (
        "import os; from sparring.console import exit_code, say\n"
        "def work():\n    os.write(1, b'noise\\n'); say('{{}}'); os.write(1, b'more\\n'); return 0\n"
        "code = exit_code('x', work, apart={apart}); os.write(1, b'after\\n'); raise SystemExit(code)"
    )
    for apart, out in ((True, "{}\nafter\n"), (False, "noise\n{}\nmore\nafter\n")):
        done = subprocess.run([sys.executable, "-c", program.format(apart=apart)], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, out), done.stderr
        assert done.stderr == ("noise\nmore\n" if apart else "")


def test_the_end_of_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """NumPy says how much it was, Python says nothing."""
    import numpy as np

    assert exit_code("program", lambda: len(np.zeros(10**17))) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "there is not enough memory (Unable to allocate 711. PiB" in said

    def work() -> int:
        raise MemoryError

    assert exit_code("program", work) == BAD_INPUT
    assert capsys.readouterr().err.startswith("program: there is not enough memory: choose smaller numbers")
