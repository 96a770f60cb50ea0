from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring import runs
from sparring.console import Stopped
from sparring.errors import InputError
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
        runs.verify_manifest(tmp_path / "run")
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
    (tmp_path / "empty").mkdir()
    with create(tmp_path / "empty"):
        pass
    with pytest.raises(InputError, match="already holds a run: sparring resume"):
        create(tmp_path / "empty")
    with pytest.raises(InputError, match=r"is no run: expected a folder with config\.json"):
        Run.open(tmp_path)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from sparring.runs import Run; Run.open(Path(sys.argv[1]))"
    with create(tmp_path / "run") as run:
        other = subprocess.run([sys.executable, "-c", code, run.folder], capture_output=True, text=True, check=False)
    assert other.returncode != 0
    assert f"InputError: another process is working in {run.folder}" in other.stderr.splitlines()[-1]


def steps(run: Run, start: int, stop: int, save_at: int) -> None:
    for step in range(start, stop):
        run.event(step=step, win=step / 8)
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
    with open(resumed / runs.EVENTS, "a") as file:  # the line that the process wrote when it was killed
        file.write(json.dumps({"step": killed_at, "win": 0})[:torn])
    with Run.open(resumed) as run:
        restored = run.load()
        start = 0 if restored is None else restored[1]["step"] + 1
        assert (restored is None) == (killed_at <= save_at)
        if restored:
            assert restored[0]["weights"].tolist() == [save_at] * 3
        steps(run, start, 8, save_at)
    assert (resumed / runs.EVENTS).read_bytes() == (whole / runs.EVENTS).read_bytes()


def test_events_and_their_damage(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        assert run.events() == []
        run.event(step=np.int64(1), loss=np.float32("nan"), rates=jnp.array([0.5, np.inf]), ok=np.bool_(True))
        run.event(step=2)
        assert run.events() == [{"step": 1, "loss": None, "rates": [0.5, None], "ok": True}, {"step": 2}]
        with pytest.raises(InputError, match="expected plain JSON, got object"):
            run.event(x=object())
        path = run.folder / runs.EVENTS
        path.write_bytes(path.read_bytes() + b'{"step": 3, "w')
        assert [event["step"] for event in run.events()] == [1, 2]
        path.write_bytes(b"{torn\n" + path.read_bytes())
        with pytest.raises(InputError, match="line 1: expected a JSON object"):
            run.events()


def test_a_checkpoint_without_its_events_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        steps(run, 0, 3, 2)
    for damage in (lambda: os.truncate(run.folder / runs.EVENTS, 10), (run.folder / runs.EVENTS).unlink):
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
    runs.verify_manifest(run.folder)
    (run.folder / "policy.bin").write_bytes(b"124")
    with pytest.raises(InputError, match=r"policy\.bin is missing or was changed"):
        runs.verify_manifest(run.folder)
    (run.folder / "policy.bin").unlink()
    with pytest.raises(InputError, match=r"policy\.bin is missing or was changed"):
        runs.verify_manifest(run.folder)
