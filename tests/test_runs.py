from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring import runs
from sparring.console import Stopped
from sparring.errors import InputError
from sparring.events import EVENTS, read_events
from sparring.files import read_json
from sparring.runs import Run


def create(folder: Path) -> Run:
    return Run.create(folder, "matrix/rps", "attack", 7, {"budget": 0.5}, ["sparring", "attack", "matrix/rps"])


def test_the_default_folder_is_named_after_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    games = ["robosumo/ant-vs-ant,integrator=euler", "../../etc", "a" * 400]
    for game in games:
        with Run.create(None, game, "audit", 3, {}) as run:
            assert run.folder.parent == Path("runs")
            assert re.fullmatch(r"[\w.=-]+__audit__3__\d{8}T\d{6}\.\d{6}", run.folder.name)
    names = {path.name.split("__")[0] for path in (tmp_path / "runs").iterdir()}
    assert names == {"robosumo-ant-vs-ant-integrator=euler", "etc", "a" * 100}


def test_config_and_status(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        config = runs.read_config(run.folder)
        assert config == run.config
        assert config["command"] == "sparring attack matrix/rps"
        assert (config["game"], config["seed"], config["settings"]) == ("matrix/rps", 7, {"budget": 0.5})
        assert {"python", "platform", "numpy", "jax"} <= config["versions"].keys()
        run.progress(30, 100)
        status = runs.read_status(run.folder)
        assert (status["state"], status["done"], status["total"]) == ("running", 30, 100)
        run.finish()
    status = runs.read_status(run.folder)
    assert (status["state"], status["done"], status["total"]) == ("done", 30, 100)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (KeyboardInterrupt(), "interrupted", ""),
        (Stopped(), "interrupted", ""),
        (RuntimeError("the physics broke"), "failed", "RuntimeError: the physics broke"),
        (SystemExit(130), "interrupted", ""),
        (None, "interrupted", ""),
    ],
)
def test_a_run_that_never_said_done_is_not_done(
    tmp_path: Path, error: BaseException | None, state: str, message: str
) -> None:
    def body() -> None:
        with create(tmp_path / "run"):
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            body()
    else:
        body()
    status = runs.read_status(tmp_path / "run")
    assert (status["state"], status["message"]) == (state, message)
    with pytest.raises(InputError, match="the run is not done"):
        runs.differences(tmp_path / "run")
    Run.open(tmp_path / "run").__exit__(None, None, None)  # the lock is free


def test_pauses_are_no_time_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("sparring.runs.time.monotonic", lambda: clock)
    with create(tmp_path / "run") as run:
        clock = 50.0
        run.progress(30, 100)
    clock = 1000.0
    with Run.open(tmp_path / "run") as run:
        clock = 1007.0
        run.finish()
    assert runs.read_status(tmp_path / "run")["seconds"] == 57.0


def test_what_finish_said_stands(tmp_path: Path) -> None:
    def body() -> None:
        with create(tmp_path / "run") as run:
            run.finish()
            sys.exit(1)  # as for a finding above a limit

    with pytest.raises(SystemExit):
        body()
    assert runs.read_status(tmp_path / "run")["state"] == "done"


def test_folders_that_cannot_hold_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match=r"cannot make the folder .*--out"):
            create(out)
    with pytest.raises(InputError, match="not empty and holds no run"):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # no lock is left in a folder of somebody else's
    (tmp_path / "empty").mkdir()
    with create(tmp_path / "empty"):
        pass
    with pytest.raises(InputError, match="already holds a run: sparring resume"):
        create(tmp_path / "empty")
    with pytest.raises(InputError, match=r"is no run: expected a folder with config\.json"):
        Run.open(tmp_path)


def test_what_a_run_leaves_that_did_nothing_is_removed(tmp_path: Path) -> None:
    """Folders that were there before it stay, and so does whatever is a result."""
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "mine", tmp_path / "deep/run"):
        with create(out) as run:
            with create(out / "jobs/attack"):
                (out / "jobs/attack/log.txt").write_text("matches: 3/8")
            run.finish("failed", "InputError: no such thing")
        run.discard()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["mine"]
    with create(tmp_path / "mine") as run:
        run.event(step=1)
    before = sorted(path.name for path in (tmp_path / "mine").iterdir())
    run.discard()
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == before


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from sparring.runs import Run; Run.open(Path(sys.argv[1]))"
    with create(tmp_path / "run") as run:
        other = subprocess.run([sys.executable, "-c", code, run.folder], capture_output=True, text=True, check=False)
    assert other.returncode != 0
    assert (
        f"InputError: another process {os.getpid()} is working in {run.folder}: wait for it, stop it"
        in other.stderr.splitlines()[-1]
    )


def steps(run: Run, start: int, stop: int, save_at: int) -> None:
    for step in range(start, stop):
        run.event(training="", step=step, win=step / 8)
        if step == save_at:
            run.save({"weights": np.full(3, step)}, {"step": step})


@given(save_at=st.integers(0, 5), killed_at=st.integers(0, 8), torn=st.integers(0, 20))
def test_resumed_equals_uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, save_at: int, killed_at: int, torn: int
) -> None:
    whole, resumed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("resumed")
    with create(whole) as run:
        steps(run, 0, 8, save_at)
    with create(resumed) as run:
        steps(run, 0, killed_at, save_at)
    with open(resumed / EVENTS, "a") as file:  # the line that the process wrote when it was killed
        file.write(json.dumps({"training": "", "step": killed_at, "win": 0})[:torn])
    with Run.open(resumed) as run:
        restored = run.load()
        start = 0 if restored is None else restored[1]["step"] + 1
        assert (restored is None) == (killed_at <= save_at)
        if restored:
            assert restored[0]["weights"].tolist() == [save_at] * 3
        else:
            run.forget("")
        steps(run, start, 8, save_at)
    assert (resumed / EVENTS).read_bytes() == (whole / EVENTS).read_bytes()


def test_events_and_their_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with create(tmp_path / "run") as run:
        assert read_events(run.folder) == []
        run.event(step=np.int64(1), loss=np.float32("nan"), rates=jnp.array([0.5, np.inf]), ok=np.bool_(True))
        run.event(step=2)
        assert read_events(run.folder) == [{"step": 1, "loss": None, "rates": [0.5, None], "ok": True}, {"step": 2}]
        with pytest.raises(InputError, match="expected plain JSON, got object"):
            run.event(x=object())
        path = run.folder / EVENTS
        path.write_bytes(path.read_bytes() + b'{"step": 3, "w')
        assert [event["step"] for event in read_events(run.folder)] == [1, 2]
        path.write_bytes(b"{torn\n3\n" + path.read_bytes())
        capsys.readouterr()
        assert [event["step"] for event in read_events(run.folder)] == [1, 2]
        assert capsys.readouterr().err == f"{path}: 2 of 4 lines are damaged and left out\n"


@pytest.mark.parametrize("damage", ["", "{", '{"state": "running"}', '{"seconds": "long"}', None])
def test_a_broken_status_does_not_keep_a_run_from_going_on(tmp_path: Path, damage: str | None) -> None:
    with create(tmp_path / "run") as run:
        steps(run, 0, 3, 2)
    path = run.folder / runs.STATUS
    path.unlink() if damage is None else path.write_text(damage)
    with pytest.raises(InputError, match=r"status\.json"):
        runs.read_status(run.folder)
    with Run.open(run.folder) as again:
        assert len(read_events(again.folder)) == 3
        again.finish()
    assert runs.read_status(run.folder)["state"] == "done"


def test_a_run_without_a_checkpoint_keeps_what_finished_trainings_recorded(tmp_path: Path) -> None:
    """As of a game that cannot be saved: the second training was killed, and begins anew."""
    with create(tmp_path / "run") as run:
        for training, events in (("first", 3), ("second", 2)):
            for step in range(events):
                run.event(training=training, step=step)
    with open(run.folder / EVENTS, "a") as file:
        file.write('{"training": "sec')
    with Run.open(run.folder) as again:
        again.forget("second")
        again.event(training="second", step=0)
        assert [(e["training"], e["step"]) for e in read_events(again.folder)] == [
            *(("first", step) for step in range(3)),
            ("second", 0),
        ]


def test_a_training_that_begins_anew_takes_the_checkpoint_that_counts_on_its_events_along(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        for training in ("first", "second"):
            run.event(training=training, step=0)
        run.save({}, {"training": "second"})
    with Run.open(run.folder) as again:
        again.forget("third")
        assert again.load() is not None
        again.forget("first")
    with Run.open(run.folder) as again:
        assert again.load() is None
        assert [event["training"] for event in read_events(again.folder)] == ["second"]


def test_a_checkpoint_without_its_events_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        steps(run, 0, 3, 2)
    for damage in (lambda: os.truncate(run.folder / EVENTS, 10), (run.folder / EVENTS).unlink):
        damage()
        with pytest.raises(InputError, match="the checkpoint counts on"):
            Run.open(run.folder)


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        leftover = run.folder / ".checkpoint.safetensors.0123.tmp"
        leftover.write_bytes(b"half")
    with Run.open(run.folder):
        assert not leftover.exists()


def test_the_manifest_finds_changed_and_missing_results(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        run.event(step=1)
        (run.folder / "policy.bin").write_bytes(b"123")
        (run.folder / "report.html").write_text("made again at will")
        run.finish()
    # sha256 of the bytes 123, by coreutils' sha256sum
    digest = "a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3"
    manifest = read_json(run.folder / runs.MANIFEST)
    assert manifest["policy.bin"] == {"sha256": digest, "bytes": 3}
    assert manifest.keys() == {"config.json", "events.jsonl", "policy.bin"}
    (run.folder / "report.html").write_text("again")
    assert runs.differences(run.folder) == {}
    (run.folder / "policy.bin").write_bytes(b"124")
    assert runs.differences(run.folder) == {"policy.bin": "was changed after the run was done: it has other content"}
    (run.folder / "policy.bin").write_bytes(b"1234")
    (run.folder / "events.jsonl").unlink()
    (run.folder / "cells").mkdir()
    (run.folder / "cells" / "extra.json").write_text("{}")
    assert runs.differences(run.folder) == {
        "cells/extra.json": "was added after the run was done",
        "events.jsonl": "is missing",
        "policy.bin": "was changed after the run was done: it has 4 bytes instead of 3",
    }
    (run.folder / runs.MANIFEST).write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json is no JSON"):
        runs.differences(run.folder)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True, None])
def test_a_seed_is_an_integer_from_zero_on(tmp_path: Path, seed: Any) -> None:
    with pytest.raises(InputError, match=f"seed: expected an integer of at least 0, got {seed!r}"):
        Run.create(tmp_path / "run", "matrix/rps", "attack", seed, {})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "[" * 10**5])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(tmp_path / "x.json")
