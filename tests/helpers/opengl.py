"""Robots are drawn by OpenGL, which a machine may lack: tests of their pictures are skipped there, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import pytest


def needed() -> None:
    """Skip a test where MuJoCo itself has nothing to draw with.

    MuJoCo is asked, and not our own pictures: if those fail although there is OpenGL, the test has to fail.
    """
    if reason := _missing():
        pytest.skip(f"MuJoCo has no OpenGL to draw with on this machine: {reason}")


@cache
def _missing() -> str:
    """Why MuJoCo has no OpenGL here; empty: it has."""
    code = "import mujoco; mujoco.GLContext(64, 64).make_current()"
    said = ""
    for kind in [os.environ["MUJOCO_GL"]] if "MUJOCO_GL" in os.environ else ["egl", "osmesa"]:
        environment = os.environ | {"MUJOCO_GL": kind}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return ""
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return said
