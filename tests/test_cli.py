"""The command line on good and bad input: exit codes, one line per error, nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sparring import cli
from sparring.files import read_json
from sparring.runs import Run, differences, read_config

GAME = "robosumo/ant-vs-ant,integrator=euler"
ZERO = ["evaluate", GAME, "--victim", "zero", "--attacker", "random", "--episodes", "4"]
KUHN = "openspiel/kuhn_poker"
CERTIFY = ["certify", KUHN]


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which the command line refuses `words`."""
    assert cli.main(words) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("sparring: "), captured.err
    return lines[0]


def module(folder: Path, name: str, body: str) -> str:
    (folder / f"{name}.py").write_text(f"import numpy as np\n\n\ndef load(spaces):\n    {body}\n")
    return f"{name}:load"


def test_evaluate_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*ZERO, "--budget", "0.5", "--json", "--out", "run"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["win"] + result["draw"] + result["loss"] == pytest.approx(1)
    assert result["episodes"] == 4 and result["budget"] == 0.5
    for key in ("win", "draw", "loss", "victim_return", "attacker_return"):
        low, high = result[f"{key}_ci"]
        assert low <= result[key] <= high
    assert json.loads(Path("run/evaluate.json").read_text())["win"] == result["win"]
    assert json.loads(Path("run/status.json").read_text())["state"] == "done"
    assert not Path("MUJOCO_LOG.TXT").exists()


def test_same_seed_same_result_and_another_seed_another(capsys: pytest.CaptureFixture[str]) -> None:
    def returns(*words: str) -> tuple[float, float]:
        assert cli.main([*ZERO, "--json", *words]) == cli.DONE
        result = json.loads(capsys.readouterr().out)
        return result["victim_return"], result["attacker_return"]

    first = returns("--seed", "3")
    assert returns("--seed", "3") == first
    assert returns("--seed", "4") != first


def test_settings_of_an_earlier_run_can_be_taken_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*ZERO, "--seed", "7", "--out", "first", "--json"]) == cli.DONE
    first = json.loads(capsys.readouterr().out)
    words = ["evaluate", GAME, "--config", "first", "--out", "second", "--json"]
    assert cli.main(words) == cli.DONE
    assert json.loads(capsys.readouterr().out)["victim_return"] == first["victim_return"]


def test_settings_are_taken_over_from_a_copy_of_the_file_too(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rock against the response to it loses, whoever gives the settings; where that run lies is not taken over."""
    assert cli.main(["attack", "matrix/rps", "--victim", "first", "--budget", "0.25", "--out", "first"]) == cli.DONE
    (in_tmp / "copied").mkdir()
    for copy in ("mine.json", "copied/config.json"):
        (in_tmp / copy).write_bytes((in_tmp / "first/config.json").read_bytes())
    capsys.readouterr()
    for source in ("first", "first/config.json", "mine.json", "copied/config.json"):
        assert cli.main(["attack", "--config", source, "--json"]) == cli.DONE
        assert json.loads(capsys.readouterr().out)["victim_value"] == -0.25
    for text in ("{}", '{"verb": "attack"}', '{"verb": 3, "settings": {}}'):
        (in_tmp / "odd.json").write_text(text)
        assert "odd.json: config.json is damaged, or it is none" in refused(capsys, "attack", "--config", "odd.json")
    assert "nowhere is no run: expected a folder" in refused(capsys, "attack", "--config", "nowhere")


def test_a_comma_may_be_a_part_of_a_run_folders_name(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rock is beaten by paper: -1. The folder counts as a file that the evaluation was begun with."""
    assert cli.main(["attack", "matrix/rps", "--victim", "first", "--out", "x,y=z"]) == cli.DONE
    for attacker in ("run:x,y=z", "run:x,y=z,policy=attacker"):
        capsys.readouterr()
        words = ["evaluate", "matrix/rps", "--victim", "first", "--attacker", attacker, "--json"]
        assert cli.main(words) == cli.DONE
        result = json.loads(capsys.readouterr().out)
        assert result["victim_value"] == -1
        inputs = json.loads((Path(result["run"]) / "config.json").read_text())["inputs"]
        assert any("x,y=z" in name for name in inputs)
    words = ["evaluate", "matrix/rps", "--victim", "first", "--attacker"]
    assert "unknown option of run 'polcy': did you mean policy?" in refused(capsys, *words, "run:x,y=z,polcy=attacker")
    assert "unknown option of run 'y'" in refused(capsys, *words, "run:x,y=a")


@pytest.mark.slow
def test_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str], in_tmp: Path) -> None:
    assert cli.main([*ZERO, "--dry-run", "--json"]) == cli.DONE
    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"]["episodes"] == 4 and shown["steps_per_second"] > 0 and "estimate" in shown
    assert cli.main([*ZERO, "--dry-run"]) == cli.DONE
    lines = capsys.readouterr().out.splitlines()
    assert {"verb: evaluate", "settings:", "  episodes: 4"} <= set(lines)
    assert not any("None" in line for line in lines)  # what was left unset
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["audti", GAME], "did you mean audit"),
        (["audit", "robosumo/ant-vs-ent"], "did you mean ant-vs-ant"),
        (["audit", "robosumi/ant-vs-ant", "--victim", "zero"], "did you mean robosumo"),
        (["audit", "robosumo/ant-vs-ant,integrator=eular"], "euler"),
        (["audit", "robosumo/bug-vs-spider"], "give --benign"),
        (["audit", "gymnasium/Pendulum-v1"], "no trained agent comes with the package for this game"),
        (["evaluate", GAME, "--victim", "zeroo", "--attacker", "zero"], "did you mean zero"),
        (["evaluate", GAME, "--victim", "builtin:amt", "--attacker", "zero"], "builtin"),
        (["evaluate", GAME, "--victim", "first", "--attacker", "zero"], "use zero"),
        (["evaluate", GAME, "--victim", "native:missing.safetensors", "--attacker", "zero"], "No such file"),
        (["evaluate", GAME, "--victim", "robosumo-zoo:missing.npy", "--attacker", "zero"], "no such file"),
        (["evaluate", GAME, "--victim", "no_such_module:load", "--attacker", "zero"], "no_such_module"),
        (["evaluate", "robosumo/ant-vs-bug", "--victim", "zero", "--attacker", "zero"], "give --benign"),
        ([*ZERO, "--budgt", "0.3"], "Perhaps you meant: --budget"),
        ([*ZERO, "--budget", "1.3"], "[0, 1]"),
        ([*ZERO, "--budget", "-0.1"], "[0, 1]"),
        ([*ZERO, "--budget", "nan"], "[0, 1]"),
        ([*ZERO, "--victim-seat", "2"], "victim-seat"),
        ([*ZERO[:-1], "0"], "episodes"),
        (["audit", GAME, "--victim", "zero", "--budgets", "0.3", "0.3"], "twice"),
        (["audit", GAME, "--victim", "zero", "--steps", "0"], "steps"),
        (["attack", GAME, "--victim", "zero", "--minibatch", "0"], "minibatch"),
        (["attack", GAME, "--victim", "random", "--start", "benign"], "start=scratch"),
        (["attack", GAME, "--victim", "random", "--start", "zero"], "start=zero needs a policy with weights"),
        (["attack", GAME, "--victim", "random", "--start", "bening"], "unknown policy 'bening'"),
        (["attack", GAME, "--victim", "zero", "--train-game", "robosumo/bug-vs-bug"], "train-game"),
        (["audit", "matrix/rps"], "give --victim"),
        (["audit", GAME, "--victim", "zero", "--oracle", "exact"], "oracle=learned"),
        (["certify", GAME, "--victim", "zero", "--oracle", "exact"], "can only be simulated"),
        (["certify", "openspiel/kuhn_poke", "--victim", "uniform"], "did you mean kuhn_poker"),
        (["certify", "openspiel/leduc_poker,max_nodes=100", "--victim", "uniform"], "max_nodes"),
        ([*CERTIFY, "--victim", "zero"], "use first"),
        ([*CERTIFY, "--victim", "unifrom"], "did you mean uniform"),
        ([*CERTIFY, "--victim", "tabular:missing.json"], "missing.json"),
        ([*CERTIFY, "--victim", "uniform", "--benign", "nsh"], "did you mean nash"),
        ([*CERTIFY, "--victim", "uniform", "--budget", "1.5"], "[0, 1]"),
        (
            [*CERTIFY, "--victim", "uniform", "--victim-seat", "2"],
            "expected 0 to 1, got 2; or give one of the names player0, player1",
        ),
        ([*CERTIFY, "--victim", "uniform", "--attackers", "0"], "other than the victim's"),
        (
            [*CERTIFY, "--victim", "uniform", "--attackers", "1", "1"],
            "expected agents, each once",
        ),
        (["attack", KUHN, "--victim", "uniform", "--control", "episode"], "every step"),
        (["evaluate", GAME, "--victim", "nash", "--attacker", "zero"], "can only be simulated"),
        (["evaluate", f"{KUHN},players=3", "--victim", "nash", "--attacker", "first"], "two agents"),
        (["defend", KUHN, "--ratio", "3"], "has no ratio"),
        (["defend", KUHN, "--method", "magic"], "invalid choice 'magic' for argument '--method'"),
        (["defend", KUHN, "--stepz", "3"], "Perhaps you meant: --steps"),
        (["certify", KUHN], "Missing from sparring certify: --victim"),
        (["study", "rps-dynamic"], "did you mean rps-dynamics"),
        (["resume", "nowhere"], "no run"),
        (["report", "nowhere"], "nowhere"),
        (["list", "games"], "Unrecognized options: games"),
        (["verify", "nowhere"], "no run"),
        (["report"], "Missing from sparring report: DIR"),
        (["resume", "a", "b"], "Unrecognized options: b"),
        (["audit", ":x", "--victim", "zero"], "expected package.module:factory"),
        (["audit", "..a:b", "--victim", "zero"], "expected package.module:factory"),
        (["audit", "__main__:load", "--victim", "zero"], "unknown function in __main__ 'load'"),
        (["evaluate", GAME, "--victim", "..a:b", "--attacker", "zero"], "expected package.module:factory"),
        (["evaluate", GAME, "--victim", "in-view:0:builtin:ant", "--attacker", "zero"], "use builtin:ant itself"),
        ([*ZERO, "--seed", "-1"], "seed: expected an integer of at least 0, got -1"),
        ([*ZERO, "--seed", "-1", "--dry-run"], "seed: expected an integer of at least 0, got -1"),
        (["study", "rps-dynamics", "--seed", "-1"], "seed: expected an integer of at least 0, got -1"),
        ([*ZERO, "--seed", "x"], "Error parsing --seed: invalid literal"),
        ([*ZERO, "--oracle", "exakt"], "invalid choice 'exakt' for argument '--oracle'. Expected one of ('exact', 'sa"),
        (["attack", GAME, "--victim", "zero", "--preset", "None"], "Expected one of ('smoke', 'standard', 'paper')"),
        (["attack", GAME, "--victim", "zero", "--learning-rate", "-1"], "learning-rate: expected a number of at least"),
        (["audit", "robosumo/ant-vs-ant,bad=1"], "unknown robosumo option 'bad': there are: adjust_z"),
        (["audit", "discs/duel,bad=1"], "unknown discs option 'bad': there are: drag, limit, restitution, ring"),
        (["audit", KUHN, "--victim", "uniform", "--summary", "s.pdf"], "ends with one of .csv, .md, .xml"),
        (["audit", KUHN, "--victim", "uniform", "--summary", "no/s.md"], "summary no/s.md: there is no folder no"),
        (["report", ".", "--summary", "no/s.md"], "summary no/s.md: there is no folder no"),
        (["evaluate", GAME, "--victim", "--attacker", "zero"], "victim: expected at least one value, got none"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], in_tmp: Path
) -> None:
    assert expected in refused(capsys, *words)
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return lambda o, rng: np.full((len(o), 8), np.nan)", "NaN"),
        ("return lambda o, rng: np.full((len(o), 8), 1e6)", "out of range"),
        ("return lambda o, rng: np.zeros((len(o), 7))", "actions of size 8"),
        ("return lambda o, rng: np.zeros((1, 8))", "matches"),
        ("return lambda o, rng: [[0.0] * 8, [0.0]]", "no array"),
        ("return 3", "returns a Policy or a function, got int"),
    ],
)
def test_a_victim_that_misbehaves(body: str, expected: str, capsys: pytest.CaptureFixture[str], in_tmp: Path) -> None:
    name = f"bad_{abs(hash(body))}"
    victim = module(in_tmp, name, body)
    words = ["--victim", victim, "--benign", "zero", "--attacker", "zero", "--episodes", "2"]
    line = refused(capsys, "evaluate", GAME, *words)
    assert expected in line
    if body != "return 3":
        assert "ant0" in line
    if "np." in body:
        assert "step 0" in line


def test_a_damaged_policy_file_is_named(capsys: pytest.CaptureFixture[str], in_tmp: Path) -> None:
    (in_tmp / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    (in_tmp / "short.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00")
    np.save(in_tmp / "large.npy", np.zeros(2**19))
    np.save(in_tmp / "odd.npy", np.zeros(1000, np.float32))
    np.save(in_tmp / "nan.npy", np.full(24645, np.nan, np.float32))
    np.save(in_tmp / "bug.npy", np.ones(30629, np.float32))
    for policy, expected in (
        ("native:cut.safetensors", "truncated"),
        ("robosumo-zoo:short.npy", "not a readable"),
        ("robosumo-zoo:large.npy", "at most"),
        ("robosumo-zoo:odd.npy", "got 1000"),
        ("robosumo-zoo:nan.npy", "NaN"),
        ("robosumo-zoo:bug.npy", "size 164"),
    ):
        line = refused(capsys, "evaluate", GAME, "--victim", policy, "--attacker", "zero")
        assert expected in line, line


def test_a_run_folder_is_not_overwritten(capsys: pytest.CaptureFixture[str], in_tmp: Path) -> None:
    assert cli.main([*ZERO, "--out", "run"]) == cli.DONE
    before = {p.name: p.read_bytes() for p in Path("run").iterdir() if p.is_file()}
    capsys.readouterr()
    assert "already holds a run" in refused(capsys, *ZERO, "--out", "run")
    (in_tmp / "file").write_text("mine")
    assert "file" in refused(capsys, *ZERO, "--out", "file")
    assert {p.name: p.read_bytes() for p in Path("run").iterdir() if p.is_file()} == before
    assert (in_tmp / "file").read_text() == "mine"


def test_a_second_process_in_a_run_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*ZERO, "--out", "run"]) == cli.DONE
    capsys.readouterr()
    with Run.open(Path("run")) as run:
        assert "another process" in refused(capsys, "resume", "run")
        run.finish()


ATTACK = ["attack", GAME, "--victim", "zero", "--steps", "4096", "--num-games", "8", "--steps-per-round", "32"]
ATTACK += ["--episodes", "4", "--seed", "5"]


@pytest.mark.long
def test_a_full_disk_is_one_line(in_tmp: Path) -> None:
    """The largest file that the process may write stands for the disk: the write fails half-way in the same manner."""
    program = shlex.join([sys.executable, "-m", "sparring", *ATTACK, "--out", "run"])
    # In blocks of 1024 bytes; without the trap the kernel would end the process at the limit.
    script = f"trap '' XFSZ; ulimit -f 20; exec {program}"
    done = subprocess.run(["bash", "-c", script], cwd=in_tmp, capture_output=True, text=True)
    assert done.returncode == cli.BAD_INPUT, done.stderr
    assert "cannot write" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert not list((in_tmp / "run").glob(".*tmp")) and not (in_tmp / "run/attacker.safetensors").exists()


@pytest.mark.slow
def test_an_interrupted_attack_goes_on_and_ends_as_an_uninterrupted_one(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "sparring", *ATTACK, "--out", "stopped"]
    with subprocess.Popen(command, cwd=in_tmp, stderr=subprocess.PIPE, text=True) as process:
        events = in_tmp / "stopped/events.jsonl"
        deadline = time.monotonic() + 300
        while not (events.exists() and events.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert process.returncode == cli.INTERRUPTED, errors
    assert "sparring resume stopped" in errors
    assert json.loads((in_tmp / "stopped/status.json").read_text())["state"] == "interrupted"
    assert len(events.read_text().splitlines()) < 4096 // (8 * 32)
    assert cli.main(["resume", "stopped"]) == cli.DONE
    assert cli.main([*ATTACK, "--out", "straight"]) == cli.DONE
    capsys.readouterr()
    assert events.read_bytes() == (in_tmp / "straight/events.jsonl").read_bytes()
    results = [json.loads((in_tmp / name / "attack.json").read_text()) for name in ("stopped", "straight")]
    for result in results:
        for name in ("policy", "command", "wall_time_s"):
            result.pop(name)
    assert results[0] == results[1]


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == cli.DONE
    shown = capsys.readouterr().out
    assert "sparring audit robosumo/ant-vs-ant" in shown and "exit codes" in shown
    for verb, (arguments, what) in cli.COMMANDS.items():
        assert f"  {verb} {arguments}".rstrip() in shown and what in shown
        for words in ([verb, "--help"], [verb, "-h"]):
            assert cli.main(words) == cli.DONE
            out = capsys.readouterr().out
            assert out.startswith(f"usage: sparring {verb}") and f"Example: sparring {verb}" in out
            assert "None," not in out  # among the choices of an option

    assert "--oracle {exact,learned}" in out_of(capsys, "audit", "--help")
    assert "--fail-measure {win,fail,return,value}" in out_of(capsys, "report", "--help")


def out_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == cli.DONE
    return capsys.readouterr().out


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-"])
@pytest.mark.slow
def test_closed_streams_change_nothing(closed: str, in_tmp: Path) -> None:
    """Nothing is printed in their place, and no file of the run is opened on their descriptors."""
    command = f"{sys.executable} -m sparring audit matrix/rps --victim uniform --budgets 1 --out run {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == cli.DONE and "Traceback" not in done.stdout + done.stderr
    assert ("No attack" in done.stdout) == (closed == "2>&-") and differences(in_tmp / "run") == {}
    refused = subprocess.run(command.replace("rps", "none"), shell=True, capture_output=True, text=True)
    assert refused.returncode == cli.BAD_INPUT and not refused.stdout


@pytest.mark.parametrize("words", [["audit", "--help"], ["list", "--json"], ["list"]])
def test_after_head_a_command_is_quiet_and_ends_with_0(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        monkeypatch.setattr(sys, "__stdout__", unread)
        assert cli.main(words) == cli.DONE
    assert capfd.readouterr().err == ""


def test_every_command_has_what_the_command_line_asks_of_it() -> None:
    for verb in cli.COMMANDS:
        module = cli.verb_module(verb)
        assert hasattr(module, "Settings")
        if verb != "resume":  # it is the command of the run that it resumes
            assert hasattr(module, "text") and hasattr(module, "answer") != hasattr(module, "execute")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_is_wrong_with_the_arguments_is_one_line_in_any_encoding(encoding: str, in_tmp: Path) -> None:
    """Tyro draws another box around its message where the terminal is not UTF-8."""
    words = ["certify", KUHN, "--victim", "uniform", "--budgt", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "sparring", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == cli.BAD_INPUT and done.stdout == ""
    expected = "sparring: Unrecognized options: --budgt, 1; Perhaps you meant: --budget FLOAT"
    assert done.stderr.startswith(expected) and done.stderr.count("\n") == 1
    assert not set(done.stderr) & set("╭╮╰╯│─|+")


def test_a_changed_result_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "matrix/rps", "--victim", "first", "--attacker", "first", "--out", "run"]) == cli.DONE
    capsys.readouterr()
    assert cli.main(["verify", "run"]) == cli.DONE
    files = [path for path in Path("run").iterdir() if path.name not in ("status.json", "manifest.json", ".lock")]
    assert capsys.readouterr().out == f"run: all {len(files)} files are as the run left them\n"
    Path("run/evaluate.json").write_text("{}")
    Path("run/config.json").rename("run/other.json")
    assert "is no run" in refused(capsys, "verify", "run")
    Path("run/config.json").write_bytes(Path("run/other.json").read_bytes())
    assert cli.main(["verify", "run"]) == cli.FINDING
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("run/evaluate.json was changed after the run was done: it has 2 bytes instead of ")
    assert lines[1] == "run/other.json was added after the run was done"
    assert cli.main(["verify", "run", "--json"]) == cli.FINDING
    assert list(json.loads(capsys.readouterr().out)["different"]) == ["evaluate.json", "other.json"]


def test_a_finished_run_is_shown_again_and_a_changed_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "matrix/rps", "--victim", "first", "--budgets", "1", "--fail-above", "0.5", "--out", "run"]
    assert cli.main(words) == cli.FINDING
    files = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert cli.main(["resume", "run"]) == cli.FINDING
    status = Path("run/status.json")
    assert {path: path.read_bytes() for path in files if path not in (status, Path("run/.lock"))} == {
        path: content for path, content in files.items() if path not in (status, Path("run/.lock"))
    }
    assert read_json(status)["state"] == "done"
    capsys.readouterr()
    audit = Path("run/audit.json")
    audit.write_bytes(audit.read_bytes().replace(b"first", b"frist"))
    assert "run/audit.json was changed after the run was done: it has other content: put it back" in refused(
        capsys, "resume", "run"
    )
    assert cli.main(["verify", "run"]) == cli.FINDING


def test_a_run_is_not_gone_on_with_from_other_files(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savetxt("game.csv", [[0, 1], [1, 0]], delimiter=",")
    Path("victim.json").write_text('{"0": {"0": 0.25, "1": 0.75}}')
    module(in_tmp, "maker", "return lambda observation, rng: np.zeros(len(observation), int)")
    words = ["evaluate", "matrix/game.csv", "--victim", "tabular:victim.json", "--benign", "maker:load"]
    assert cli.main([*words, "--attacker", "first", "--oracle", "sampled", "--episodes", "8", "--out", "run"]) == 0
    with Run.open(Path("run")) as run:
        run.finish("interrupted")
    capsys.readouterr()
    assert set(read_config(Path("run"))["inputs"]) == {"game.csv", "victim.json", str(in_tmp / "maker.py")}
    for name in ("game.csv", "victim.json", "maker.py"):
        before = Path(name).read_bytes()
        Path(name).write_bytes(before.replace(b'0.25, "1": 0.75', b'0.75, "1": 0.25') + b"\n")
        assert f"{name} has changed since this run was begun: put it back as it was" in refused(capsys, "resume", "run")
        Path(name).write_bytes(before)
    assert cli.main(["resume", "run"]) == 0


@pytest.mark.long
def test_an_attack_whose_output_nobody_reads_is_finished(in_tmp: Path) -> None:
    """As after `2>&1 | head -1`: what would be shown is lost, and nothing else is."""
    reader, writer = os.pipe()
    os.close(reader)
    words = ["attack", "matrix/rps", "--victim", "first", "--oracle", "learned", "--steps", "2000", "--out", "run"]
    done = subprocess.run([sys.executable, "-m", "sparring", *words], cwd=in_tmp, stdout=writer, stderr=writer)
    os.close(writer)
    assert done.returncode == cli.DONE
    assert json.loads((in_tmp / "run/status.json").read_text())["state"] == "done"
    assert (in_tmp / "run/attack.json").exists()


def test_list_names_games_and_shipped_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--json"]) == cli.DONE
    found = json.loads(capsys.readouterr().out)
    assert {"robosumo/ant-vs-bug", "matrix/rps", KUHN} <= set(found["games"])
    assert {"matrix/rps", KUHN} <= set(found["exact"]) and "robosumo/ant-vs-bug" not in found["exact"]
    assert {"rps-dynamics"} <= set(found["studies"])
    assert cli.main(["list"]) == cli.DONE
    assert "robosumo/spider-vs-ant" in capsys.readouterr().out


def test_functional_games_are_evaluated_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "matrix/rps", "--victim", "first", "--attacker", "first", "--episodes", "8", "--json"]
    zeros = {"exact": ("victim_value", "mean_decisions", 2), "sampled": ("victim_return", "mean_length", 1)}
    for oracle, episodes in (("exact", 0), ("sampled", 8)):
        assert cli.main([*words[: -3 if oracle == "exact" else -1], "--json", "--oracle", oracle]) == cli.DONE
        result = json.loads(capsys.readouterr().out)
        value, length, number = zeros[oracle]
        assert result[value] == 0 and result[length] == number and result["draw"] == 1
        assert result["oracle"] == oracle and result["episodes"] == episodes


def test_python_m_sparring_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparring", "--version"], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0 and done.stdout.strip().count(".") == 2


@pytest.mark.slow
@pytest.mark.parametrize("threshold", ["nan", "inf"])
def test_a_threshold_is_looked_at_before_anything_is_done(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], threshold: str
) -> None:
    words = ["audit", KUHN, "--victim", "uniform", "--fail-above", threshold, "--out", "run"]
    assert "fail-above: expected a number" in refused(capsys, *words)
    assert not (in_tmp / "run").exists()
    words = ["audit", "discs/duel", "--victim", "zero", "--fail-above", "0", "--fail-measure", "value", "--out", "run"]
    assert "values are those of exact answers" in refused(capsys, *words)
    assert not (in_tmp / "run").exists()


@pytest.mark.slow
def test_a_report_ends_with_the_code_of_the_verdict_that_it_prints(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["audit", KUHN, "--victim", "uniform", "--budgets", "1", "--fail-above", "0.1", "--out", "run"]
    assert cli.main(words) == 1
    assert cli.main(["report", "run"]) == 1
    assert cli.main(["report", "run", "--fail-above", "10"]) == 0
    config = json.loads((in_tmp / "run/config.json").read_text())
    del config["verb"]
    (in_tmp / "run/config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert "config.json is damaged" in refused(capsys, "resume", "run")


def test_a_bad_option_is_refused_before_anything_heavy_is_loaded(in_tmp: Path) -> None:
    code = "import sys; from sparring import cli; code = cli.main(sys.argv[1:]); print([m for m in sys.modules if m in"
    code += " ('jax', 'mujoco', 'matplotlib', 'pyspiel')]); sys.exit(code)"
    words = ["audit", "discs/duel,bad=1", "--summary", "audit.md"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=in_tmp, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (cli.BAD_INPUT, "[]\n"), done.stderr


@pytest.mark.parametrize("summary", ["no/s.md", "s.pdf", "sealed/s.md", "folder.md"])
def test_where_the_summary_goes_is_looked_at_before_any_game_is_made(
    summary: str, in_tmp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_tmp / "folder.md").mkdir()
    (in_tmp / "sealed").mkdir()
    access = os.access  # for root every folder can be written in
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "sealed" and access(path, mode))
    monkeypatch.setattr("sparring.games.make", None)  # called, it would be an internal error
    assert f"summary {summary}: " in refused(capsys, "audit", KUHN, "--victim", "uniform", "--summary", summary)
    assert "NoneType" in internal_error(capsys, "audit", KUHN, "--victim", "uniform", "--summary", "s.md")


def internal_error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == 3
    return capsys.readouterr().err


def test_the_summary_may_lie_in_the_run_folder_that_is_not_there_yet(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "matrix/rps", "--victim", "first", "--budgets", "1", "--out", "run", "--summary", "run/s.md"]
    assert cli.main(words) == cli.DONE
    assert Path("run/s.md").read_text().startswith("# Audit of first in matrix/rps")


def test_report_says_what_a_folder_is_that_is_no_audit(capsys: pytest.CaptureFixture[str], in_tmp: Path) -> None:
    words = ["matrix/rps", "--victim", "first"]
    assert cli.main(["attack", *words, "--out", "attacked"]) == cli.DONE
    assert cli.main(["audit", *words, "--budgets", "1", "--out", "audited"]) == cli.DONE
    capsys.readouterr()
    line = refused(capsys, "report", "attacked")
    assert "attacked: this is a run of sparring attack, not an audit: its result is attacked/attack.json" in line
    assert "give the audit's own folder, audited" in refused(capsys, "report", "audited/jobs/benign")
    assert "this is no audit" in refused(capsys, "report", ".")
    assert "this is a run of sparring attack, not an audit" in refused(capsys, "compare", "audited", "attacked")
    Path("audited/audit.json").rename("audited/kept")
    assert "this audit is not finished (done)" in refused(capsys, "report", "audited")
    Path("audited/kept").rename("audited/audit.json")
    assert cli.main(["report", "audited/audit.json"]) == cli.DONE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("certify discs/duel --victim builtin:disc --matches 1e12", "--matches: expected INT, got '1e12'"),
        ("certify discs/duel --victim builtin:disc --return-range 5", "--return-range: expected FLOAT FLOAT, got '5'"),
        ("certify discs/duel --victim builtin:disc --matches 99999999999", "expected at most 10,000,000"),
        (
            "certify discs/duel --victim builtin:disc --return-range -1e308 1e308",
            "return-range: expected two finite numbers LOW < HIGH",
        ),
        ("stealth discs/duel --budgets 0.3,0.7", "several values are separated by spaces, as in --budgets 0.3 0.7"),
        ("stealth discs/duel --attackers builtin:disc", "a policy is given by --attacker"),
        ("stealth --attacker builtin:disc discs/duel --victim builtin:disc", "the game comes first"),
        (
            "stealth discs/duel",
            "for builtin:disc at these budgets (some do for builtin:ant, builtin:bug, builtin:disc-early",
        ),
        ("stealth discs/duel --attacker run:nothere", "run:nothere: expected the folder of a run, and there is none"),
        ("attack discs/duel --victim zero --stealth 1e308", "stealth: expected a number from 0 to 10000, got 1e+308"),
        ("attack discs/duel --victim zero --gae-lambda 2", "gae-lambda: expected a number from 0 to 1, got 2.0"),
        ("certify discs/duel --victim builtin:disc --mismatch", "and this one is from matches: use an exact game"),
    ],
)
def test_what_a_hurried_person_types_is_answered_in_one_line(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said and "[bold]" not in said
    assert not list(tmp_path.iterdir())
