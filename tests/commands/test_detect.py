from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from sparring import cli
from sparring.detectors import save
from sparring.metrics.online import Detector, fit_detector
from sparring.types import Tracks

BENIGN, ATTACKED = toys.wandering(700, seed=1), toys.wandering(200, shift=2.0, seed=2)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> tuple[Detector, str]:
    made = fit_detector(BENIGN, ATTACKED, game="toy", window=3)
    path = tmp_path_factory.mktemp("detector") / "d.safetensors"
    save(made, path)
    return made, str(path)


def lines(tracks: Tracks, named: bool = False) -> list[str]:
    found = []
    for row, step, match in zip(tracks.rows.tolist(), tracks.step.tolist(), tracks.match.tolist(), strict=True):
        place = {"match": f"m{match}"} if named else {"first": True} if step == 0 else {}
        found.append(json.dumps({"observation": row, **place}))
    return found


def detect(path: str, text: str | bytes, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparring", "detect", path, *options]
    given = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(command, input=given, capture_output=True, timeout=120)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_alarms_on_a_stream_are_those_of_the_matches(detector: tuple[Detector, str]) -> None:
    made, path = detector
    fresh = toys.wandering(20, shift=3.0, seed=3)
    done = detect(path, "\n".join(lines(fresh, named=True)), "--json")
    assert done.returncode == cli.FINDING and not done.stderr
    *alarms, summary = [json.loads(line) for line in done.stdout.splitlines()]
    above = made.paths(fresh) > made.threshold
    right = [(f"m{m}", int(above[m].argmax())) for m in np.flatnonzero(above.any(axis=1))]
    assert [(a["match"], a["step"]) for a in alarms if a["alarm"] == "match"] == right and len(right) > 5
    assert [a["alarm"] for a in alarms].count("across matches") == 1
    assert (summary["lines"], summary["matches"], summary["alarms"]) == (400, 20, len(right))
    assert summary["attack_across_matches"] and summary["game"] == "toy"


def test_benign_matches_in_words(
    detector: tuple[Detector, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, path = detector
    fresh = toys.wandering(10, seed=4)
    assert not (made.paths(fresh) > made.threshold).any()
    (tmp_path / "lines").write_text("\n\n".join(lines(fresh)))
    assert cli.main(["detect", path, "--input", str(tmp_path / "lines")]) == cli.DONE
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "0 of 10 matches with an alarm, no alarm across matches; 399 lines"
    assert said[1].startswith("threshold: at most 0.01 false alarms per match, with 95% confidence over 350 benign")


def test_an_alarm_is_told_at_once_and_the_stream_goes_on(detector: tuple[Detector, str]) -> None:
    """A pipe that never ends: the alarm is read while the next line has not been written."""
    _, path = detector
    command = [sys.executable, "-m", "sparring", "detect", path, "--json"]
    fresh = lines(toys.wandering(5, shift=6.0, seed=5))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("".join(f"{line}\n" for line in fresh[:20]).encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["alarm"] == "match"
        assert process.poll() is None
        process.stdin.write(fresh[20].encode() + b"\n")
        process.stdin.close()
        assert json.loads(process.stdout.read().splitlines()[-1])["matches"] == 2
    assert process.returncode == cli.FINDING


GOOD = '{"observation": [0, 0, 0], "first": true}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1, 2]", "expected a JSON object with observation, and perhaps action, first or match, got list"),
        ('{"obs": [1, 2, 3]}', "got the keys obs"),
        ('{"observation": [1, 2, 3], "frist": true}', "got the keys frist, observation"),
        ('{"observation": [1, 2]}', "observation: expected 3 numbers, got 2"),
        ('{"observation": [1, 2, "3"]}', "observation: expected numbers, got str"),
        ('{"observation": null}', "observation: expected numbers, got NoneType"),
        ('{"observation": [1, NaN, 3]}', "observation: number 1 is NaN or infinite"),
        ('{"observation": [1, 2, 1e300]}', "observation: number 2 is too large for float32"),
        ('{"observation": [1, 2, 1' + "0" * 400 + "]}", "observation: number 2 is NaN or infinite"),
        ('{"observation": [1, 2, 1' + "0" * 5000 + "]}", "no JSON"),
        ('{"observation": [1, 2, 3], "first": 1}', "first: expected true or false, got 1"),
        ('{"observation": [1, 2, 3], "match": [1]}', "match: expected a name or a number, got list"),
        ('{"observation": [1, 2, 3], "match": true}', "match: expected a name or a number, got bool"),
        ('{"observation": [1, 2, 3], "observation": [1, 2, 4]}', "no JSON: the key 'observation' comes twice"),
        ('{"observation": [1, 2]}', "(0 of 1 matches before had an alarm)"),
    ],
)
def test_a_bad_line_is_one_line_with_its_number(
    line: str, message: str, detector: tuple[Detector, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "lines"
    source.write_text(f"{GOOD}\n\n{line}\n{GOOD}\n")
    assert cli.main(["detect", detector[1], "--input", str(source)]) == cli.BAD_INPUT
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert f"{source}, line 3: " in said.err and message in said.err


def test_bytes_that_are_no_text_and_lines_without_an_end(detector: tuple[Detector, str]) -> None:
    for given, message in (
        (b"\xff\xfe\x00", "standard input, line 1: no JSON"),
        (b"[" + b"1," * (9 * 2**20), "line 1: it has more than 16777216 bytes"),
    ):
        done = detect(detector[1], given)
        assert (done.returncode, done.stdout) == (cli.BAD_INPUT, "") and message in done.stderr
        assert done.stderr.count("\n") == 1


def test_other_bad_input(detector: tuple[Detector, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = fit_detector(toys.wandering(40), view="transition", window=1)
    save(made, tmp_path / "transition.safetensors")
    source = tmp_path / "lines"
    twice = [{"observation": [0, 0, 0], "match": m} for m in (1, 2, 1)]
    cases: list[tuple[str, list[Any], str]] = [
        (detector[1], twice, "line 3: match: 1 has ended before"),
        (str(tmp_path / "transition.safetensors"), twice, "line 1: action: this detector looks at transitions"),
        (str(tmp_path / "nowhere"), twice, "cannot read"),
    ]
    for path, given, message in cases:
        source.write_text("".join(f"{json.dumps(item)}\n" for item in given))
        assert cli.main(["detect", path, "--input", str(source)]) == cli.BAD_INPUT
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert cli.main(["detect", detector[1], "--input", str(tmp_path / "missing")]) == cli.BAD_INPUT
    assert "missing: No such file" in capsys.readouterr().err
    assert cli.main(["detect", detector[1], "--seed", "-1"]) == cli.BAD_INPUT
    assert "seed: expected a whole number" in capsys.readouterr().err


def test_a_stream_without_an_observation_is_refused(detector: tuple[Detector, str]) -> None:
    """An agent that is not connected must not pass for one that is not attacked."""
    for nothing in ("", "\n\n"):
        done = detect(detector[1], nothing)
        assert done.returncode == cli.BAD_INPUT and not done.stdout
        assert "standard input: expected observations, got no line" in done.stderr


def test_where_a_match_begins_must_be_said(detector: tuple[Detector, str]) -> None:
    bare, named = '{"observation": [0, 0, 0]}\n', '{"observation": [0, 0, 0], "match": "a"}\n'
    done = detect(detector[1], bare * 2)
    assert done.returncode == cli.BAD_INPUT and 'line 1: expected "first": true where a match begins' in done.stderr
    done = detect(detector[1], named + bare)
    assert done.returncode == cli.BAD_INPUT and "line 2: match: the lines before name their match" in done.stderr


@pytest.mark.parametrize(
    ("name", "environment", "shown"),
    [
        ("\\ud800", {}, '"\\ud800"'),
        ("x\\u001b[2J\\nalarm in match fake", {}, '"x\\u001b[2J\\nalarm in match fake"'),
        ("\\u03a9", {"PYTHONIOENCODING": "ascii"}, '"\\u03a9"'),
        ("\\u03a9", {"PYTHONIOENCODING": "utf-8"}, "\u03a9"),
    ],
)
def test_an_alarm_names_its_match_on_one_line_whatever_it_is_called(
    name: str, environment: dict[str, str], shown: str, detector: tuple[Detector, str]
) -> None:
    far = '{"observation": [90, 90, 90], "match": "' + name + '"}\n'
    done = subprocess.run(
        [sys.executable, "-m", "sparring", "detect", detector[1]],
        input=(far * 40).encode(),
        capture_output=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == cli.FINDING
    alarms = [line for line in done.stdout.decode().splitlines() if line.startswith("alarm in match")]
    assert len(alarms) == 1 and alarms[0].startswith(f"alarm in match {shown}, step ")


def test_ctrl_c_ends_a_stream_with_its_summary(detector: tuple[Detector, str]) -> None:
    command = [sys.executable, "-m", "sparring", "detect", detector[1], "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        far = b'{"observation": [90, 90, 90], "match": 1}\n'
        process.stdin.write(far * 40)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["alarm"] == "match"
        process.send_signal(signal.SIGTERM)  # as Ctrl-C, which a shell may have its children ignore
        summary = json.loads(process.stdout.read().splitlines()[-1])
    assert summary["interrupted"] and (summary["matches"], summary["alarms"]) == (1, 1)
    assert process.returncode == cli.FINDING


def test_it_starts_without_jax_and_scikit_learn(detector: tuple[Detector, str]) -> None:
    code = (
        "import sys; from sparring import cli; code = cli.main(['detect', sys.argv[1]]); "
        "print('LOADED', [m for m in ('jax', 'sklearn', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, detector[1]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.stdout.endswith("LOADED []\n"), done
