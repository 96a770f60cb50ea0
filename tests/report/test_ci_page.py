"""The workflow in docs/ci.md: every command of sparring in it works, in its order, in one folder."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"


@pytest.mark.slow
def test_the_workflow_runs(tmp_path: Path) -> None:
    (workflow,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    commands = re.findall(r"run: (.*)", workflow)
    lines = [line for line in commands if line.startswith(".venv/bin/sparring")]
    assert len(lines) == 2
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    program = tmp_path / ".venv" / "bin" / "sparring"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sparring "$@"\n')
    program.chmod(0o755)
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={"GITHUB_STEP_SUMMARY": "summary.md", "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    suite = ElementTree.parse(tmp_path / "audit.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == ("3", "0", "0")
    for file in ("summary.md", "audit/report.html", "audit/audit.json"):
        assert (tmp_path / file).stat().st_size > 100
