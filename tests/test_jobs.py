"""Jobs: the same files however they are run, and a state that can be gone on with after every end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring.console import Stopped
from sparring.errors import InputError
from sparring.files import read_json, write_json
from sparring.jobs import Crashed, Job, map_jobs
from sparring.runs import Run, read_status

PROGRAM = """
import os, time
from sparring.errors import InputError
from sparring.files import write_json


def work(config, run):
    kind = config["kind"]
    if kind == "refuse":
        raise InputError("this is not what was asked for")
    if kind == "die":
        print("the last words", flush=True)
        os._exit(7)
    if kind == "fail":
        raise ZeroDivisionError("somewhere inside")
    if kind == "wait" and not (run.folder / "begun").exists():
        (run.folder / "begun").touch()
        time.sleep(600)
    write_json(run.folder / "result.json", {"square": config["n"] ** 2})
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs_of_a_test.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "jobs_of_a_test", raising=False)
    return Run.create(tmp_path / "run", "nothing", "test", 0, {})


def work(config: Mapping[str, Any], run: Run) -> None:
    from jobs_of_a_test import work as inner  # pyright: ignore[reportMissingImports]

    inner(config, run)


def jobs(*kinds: str) -> list[Job]:
    return [Job(f"{kind}-{n}", {"kind": kind, "n": n}) for n, kind in enumerate(kinds)]


def test_what_is_done_is_not_done_again(run: Run) -> None:
    done = []

    def counted(config: Mapping[str, Any], at: Run) -> None:
        done.append(config["n"])
        work(config, at)

    folders = map_jobs(jobs("do", "do"), counted, run)
    assert [read_json(path / "result.json")["square"] for path in folders.values()] == [0, 1]
    assert list(folders) == ["do-0", "do-1"] and folders["do-1"] == run.folder / "jobs/do-1"
    map_jobs(jobs("do", "do", "do"), counted, run)
    assert done == [0, 1, 2]
    assert read_status(run.folder)["done"] == read_status(run.folder)["total"] == 3
    with pytest.raises(InputError, match=r"was .* when this job was begun, but is .* now; .* start a new run"):
        map_jobs([Job("do-1", {"kind": "do", "n": 5})], counted, run)


@pytest.mark.slow
def test_jobs_side_by_side_are_named_where_they_end_badly(run: Run) -> None:
    entry = "jobs_of_a_test:work"
    with pytest.raises(Crashed, match=r"job die-1 ended with exit code 7: the last words \(the whole log: .*log.txt\)"):
        map_jobs(jobs("do", "die"), work, run, 2, entry)
    with pytest.raises(Crashed, match="job fail-1 ended with ZeroDivisionError: ZeroDivisionError: somewhere inside"):
        map_jobs([*jobs("do", "fail"), Job("two", {"kind": "do", "n": 2})], work, run, 2, entry)
    with pytest.raises(InputError, match="this is not what was asked for"):
        map_jobs([*jobs("do", "refuse"), Job("three", {"kind": "do", "n": 3})], work, run, 2, entry)


def test_a_stop_leaves_jobs_that_can_be_gone_on_with(run: Run) -> None:
    entry, several = "jobs_of_a_test:work", jobs("wait", "wait", "do")

    def stop() -> None:
        while not all((run.folder / f"jobs/{job.name}/begun").exists() for job in several[:2]):
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Stopped):
        map_jobs(several, work, run, 2, entry)
    assert [read_status(run.folder / f"jobs/{job.name}")["state"] for job in several[:2]] == ["interrupted"] * 2
    assert not (run.folder / "jobs/do-2").exists()
    folders = map_jobs(several, work, run, 2, entry)
    assert [read_json(path / "result.json")["square"] for path in folders.values()] == [0, 1, 4]


@pytest.mark.slow
def test_an_audit_leaves_the_same_files_whoever_does_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, number in (("one", 1), ("two", 2)):
        sparring.audit("matrix/rps", victim="first", budgets=(0.5, 1.0), out=name, jobs=number)
    files = sorted(path.relative_to("one") for path in Path("one").rglob("*") if path.is_file())
    timed = {"config.json", "status.json", "manifest.json", ".lock", "audit.json", "report.html"}
    results = [path for path in files if path.name not in timed]
    assert len(results) > 10
    for path in results:
        assert (Path("one") / path).read_bytes() == (Path("two") / path).read_bytes(), path
    audits = [read_json(Path(name) / "audit.json") for name in ("one", "two")]
    for audit in audits:
        del audit["wall_time_s"], audit["report"]
    assert audits[0] == audits[1]


def test_objects_stay_in_this_process(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    map_jobs(jobs("do", "do"), work, run, 2, None)
    assert "one job at a time" in capsys.readouterr().err
    assert not (run.folder / "jobs/do-0/log.txt").exists()


def test_names_are_names(run: Run) -> None:
    write_json(run.folder / "x.json", {})
    with pytest.raises(InputError, match="jobs: expected at least 1"):
        map_jobs(jobs("do"), work, run, 0)
    with pytest.raises(ValueError, match="two jobs have one name"):
        map_jobs([*jobs("do"), *jobs("do")], work, run)
