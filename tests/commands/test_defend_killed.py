"""A hardening that is killed again and again ends with the files of an undisturbed one, bit for bit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.files import read_json
from sparring.runs import MANIFEST

KILLS = 20
# As `python -m sparring`, but a checkpoint is written at least every 50 ms of training, not every minute: what is done
# from one checkpoint to the next is short here.
PROGRAM = """
import sys
from sparring import cli, drive
drive.drive.__kwdefaults__["save_every"] = 0.05
sys.exit(cli.main(sys.argv[1:]))
"""
ASKED = "defend discs/duel --method self-play --victim builtin:disc-early --num-games 16 --steps-per-round 64"
ASKED += " --minibatch 64 --epochs 4 --attack-steps 60000 --episodes 64 --steps 120000 --clean-share 0.25"


@pytest.mark.long
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    def start(*words: str) -> subprocess.Popen[bytes]:
        # All read what the undisturbed program has compiled.
        environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        program = [sys.executable, "-c", PROGRAM, *words]
        return subprocess.Popen(program, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    assert start(*ASKED.split(), "--out", "straight").wait() == 0
    expected = results(tmp_path / "straight")
    rng, kills, in_training, number = np.random.default_rng(0), 0, 0, 0
    while kills < KILLS:
        number += 1
        folder = tmp_path / f"killed-{number}"
        while not (folder / MANIFEST).exists():
            if not (folder / "config.json").exists():
                shutil.rmtree(folder, ignore_errors=True)  # killed before it was a run
                child = start(*ASKED.split(), "--out", folder.name)
            else:
                child = start("resume", folder.name)
            if kills == KILLS:
                assert child.wait() == 0
                break
            # Every third dies at any moment from its start on, the others soon after they have gone on with something.
            before, late = done(folder), kills % 3 > 0
            while late and child.poll() is None and done(folder) == before:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 1.5 if late else 8))
            if child.poll() is None:
                child.kill()
                child.wait()
                kills += 1
                in_training += any(folder.glob("jobs/*/checkpoint.safetensors"))
            else:
                assert child.returncode == 0
        found = results(folder)
        assert found.keys() == expected.keys()
        for name, content in expected.items():
            assert found[name] == content, name
    print(f"{kills} kills in {number} runs, {in_training} of them while a training had a checkpoint")
    assert in_training >= KILLS // 4


def done(folder: Path) -> int:
    """How much of a run is written down."""
    return sum(path.stat().st_size for path in folder.glob("jobs/*/events.jsonl"))


def results(folder: Path) -> dict[str, Any]:
    """Every result's bytes, by file; of `defend.json` what is neither a time nor a place."""
    apart = ("config.json", "status.json", "manifest.json", ".lock", "defend.json")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in apart]
    found: dict[str, Any] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    # The page shows the command, and that the name of the folder.
    found["report.html"] = found["report.html"].replace(folder.name.encode(), b"NAME")
    result = read_json(folder / "defend.json")
    for name in ("command", "wall_time_s", "policy", "figure", "report"):
        result.pop(name, None)
    for name in ("before", "after"):
        del result[name]["attack"]
    return {**found, "defend.json": result}
