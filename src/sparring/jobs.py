"""Long work as a list of jobs: plain JSON in, a folder of its own, files out, and the same files however they are run.

A job's folder is a run folder (`sparring.runs`): it has a checkpoint and events of its own, and says when it is done.
With `num` 1 jobs run in this process, one after the other. With more, so many processes run side by side, each on one
thread, and each takes the next job as soon as it is free.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from sparring.console import Stopped, interrupt, interruptible, progress, remember
from sparring.errors import InputError, changed
from sparring.files import plain
from sparring.runs import CHECKPOINT, CONFIG, LOG, Run, read_config, read_status

JOBS = "jobs"
PR_SET_PDEATHSIG = 1  # of Linux's prctl
JOB = "job"  # the verb of a job's run; its game is the job's name
Work = Callable[[Mapping[str, Any], Run], None]
# One thread each, for NumPy's libraries and for XLA: side by side, more of them would only be in each other's way.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def one_thread() -> None:
    """Let XLA compute on one thread in this process, as it does in those of jobs: then results are the same bit by bit.

    It has an effect only before XLA has begun to compute.
    """
    os.environ["NPROC"] = ONE_THREAD["NPROC"]
    os.environ["XLA_FLAGS"] = _flags()


def _flags() -> str:
    flags = os.environ.get("XLA_FLAGS", "")
    return flags if ONE_THREAD["XLA_FLAGS"] in flags else f"{flags} {ONE_THREAD['XLA_FLAGS']}".strip()


@dataclass(frozen=True)
class Job:
    """A piece of work. Its folder has its name; `config` is plain JSON and says everything that decides the result."""

    name: str
    config: Mapping[str, Any]


class Crashed(RuntimeError):
    """A job's process ended without an answer, or with an error that is not the user's."""


class _Answer(NamedTuple):
    """What a worker says about a job."""

    state: Literal["done", "stopped", "refused", "crashed"]
    message: str


def map_jobs(
    jobs: Sequence[Job], work: Work, where: Run, num: int = 1, entry: str | None = None, label: str = "jobs"
) -> dict[str, Path]:
    """Do what is not done yet; the folders of all jobs by name, each `where.folder / "jobs" / name`.

    Args:
      jobs: with different names.
      work: does one job in this process: it is given the job's config and the run of its folder.
      where: the run whose part the jobs are.
      num: processes side by side.
      entry: `package.module:function`, what stands for `work` in another process. None: `work` needs objects that
        cannot go there, and jobs run in this process whatever `num` says.
      label: for the progress.

    Raises:
      Stopped: Ctrl-C or SIGTERM; every job that was running has saved what it can go on from.
      InputError: a job refused its input, or was another one when it was begun.
      Crashed: a job's process died; its name and its log's last line are told.
    """
    if num < 1:
        raise InputError(f"jobs: expected at least 1, got {num}")
    folders = {job.name: where.folder / JOBS / job.name for job in jobs}
    if len(folders) < len(jobs):
        raise ValueError(f"two jobs have one name: {sorted(job.name for job in jobs)}")
    pending = [job for job in jobs if not _is_done(folders[job.name], job)]
    if num > 1 and entry is None and len(pending) > 1:
        print("sparring: what was given as a Python object stays in this process: one job at a time", file=sys.stderr)
    with progress(len(jobs), label) as advance:

        def finished(count: int, name: str) -> None:
            done = len(jobs) - len(pending) + count
            where.progress(done, len(jobs))
            advance(done, note=name)

        if entry is None or num == 1 or len(pending) < 2:
            for count, job in enumerate(pending, 1):
                do(job, folders[job.name], work)
                finished(count, job.name)
        else:
            _side_by_side(pending, folders, entry, min(num, len(pending)), finished)
    return folders


def do(job: Job, folder: Path, work: Work) -> None:
    """Begin a job, or go on with it."""
    if (folder / CONFIG).exists():
        run = Run.open(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed before it had begun
        run = Run.create(folder, job.name, JOB, 0, job.config)
    with run:
        work(run.config["settings"], run)
        (folder / CHECKPOINT).unlink(missing_ok=True)  # what is done is not gone on with
        run.finish()


def _is_done(folder: Path, job: Job) -> bool:
    if not (folder / CONFIG).exists():
        return False
    if (found := changed(read_config(folder)["settings"], plain(job.config))) is not None:
        name, before, after = found
        raise InputError(
            f"{folder}: {name} was {before!r} when this job was begun, but is {after!r} now; go on with the settings "
            "that it was begun with, or start a new run"
        )
    return read_status(folder)["state"] == "done"


def _side_by_side(
    pending: Sequence[Job],
    folders: Mapping[str, Path],
    entry: str,
    num: int,
    finished: Callable[[int, str], None],
) -> None:
    waiting, busy, count = list(pending), {}, 0
    workers = [_start() for _ in range(num)]
    try:
        with interruptible() as stop, selectors.DefaultSelector() as selector:
            for worker in workers:
                selector.register(_pipe(worker.stdout), selectors.EVENT_READ, worker)
                busy[worker] = _hand(worker, waiting.pop(0), folders, entry)
            told = False
            while busy:
                if stop() and not told:
                    told = True
                    for worker in busy:
                        worker.send_signal(signal.SIGTERM)
                for key, _ in selector.select(timeout=0.2):
                    worker = key.data
                    job = busy.pop(worker, None)
                    line = _pipe(worker.stdout).readline()
                    if job is None or not line:
                        selector.unregister(key.fileobj)
                        # Told to stop before it could listen: it has done nothing.
                        if job is not None and not (told and worker.wait() == -signal.SIGTERM):
                            raise Crashed(_last_words(job, folders[job.name], f"exit code {worker.wait()}"))
                        continue
                    answer = _Answer(**json.loads(line))
                    if answer.state == "refused":
                        raise InputError(answer.message)
                    if answer.state == "crashed":
                        raise Crashed(_last_words(job, folders[job.name], answer.message))
                    if answer.state == "done":
                        count += 1
                        finished(count, job.name)
                    if waiting and not told:
                        busy[worker] = _hand(worker, waiting.pop(0), folders, entry)
            if told:
                raise Stopped
    finally:
        _end(workers)


def _start() -> subprocess.Popen[str]:
    # A session of its own: Ctrl-C at the terminal reaches this process alone, which then tells the workers, once.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "sparring.jobs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, **ONE_THREAD, "XLA_FLAGS": _flags(), "PYTHONPATH": path},
        start_new_session=True,
    )


def _pipe(pipe: Any) -> TextIO:
    assert pipe is not None
    return pipe


def _hand(worker: subprocess.Popen[str], job: Job, folders: Mapping[str, Path], entry: str) -> Job:
    order = {"name": job.name, "config": plain(job.config), "folder": str(folders[job.name]), "entry": entry}
    with contextlib.suppress(BrokenPipeError):  # it has died, which its other pipe tells
        _pipe(worker.stdin).write(json.dumps(order) + "\n")
    return job


def _end(workers: Sequence[subprocess.Popen[str]]) -> None:
    """Nobody outlives the list: who is still at work after an error or a second Ctrl-C is told to save and stop."""
    for worker in workers:
        with contextlib.suppress(BrokenPipeError):
            _pipe(worker.stdin).close()
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    for worker in workers:
        try:
            worker.wait(timeout=60)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            worker.kill()
            worker.wait()
        _pipe(worker.stdout).close()


def _last_words(job: Job, folder: Path, how: str) -> str:
    log = folder / LOG
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
    return f"job {job.name} ended with {how}: {last} (the whole log: {log})"


def _serve() -> None:
    """A worker: one JSON line in for each job, one out."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)  # descriptor 1 goes to the log of the job at hand
    remember()
    signal.signal(signal.SIGTERM, interrupt)
    if sys.platform == "linux":
        import ctypes

        # Who is killed cannot tell its workers to stop: then the kernel does.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        for line in sys.stdin:
            order = json.loads(line)
            folder = Path(order["folder"])
            answers.write(json.dumps(_answer(order, folder)._asdict()) + "\n")
    except KeyboardInterrupt:
        pass  # told to stop between two jobs
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends anyway: what libraries do at the end is not to be disturbed


def _answer(order: Mapping[str, Any], folder: Path) -> _Answer:
    job = Job(order["name"], order["config"])

    def work(config: Mapping[str, Any], run: Run) -> None:
        log = os.open(run.folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.close(log)
        module, _, function = order["entry"].partition(":")
        getattr(importlib.import_module(module), function)(config, run)

    try:
        do(job, folder, work)
    except (Stopped, KeyboardInterrupt):
        return _Answer("stopped", "")
    except InputError as error:
        return _Answer("refused", str(error))
    except Exception as error:
        import traceback

        traceback.print_exc()
        return _Answer("crashed", type(error).__name__)
    return _Answer("done", "")


if __name__ == "__main__":
    _serve()
