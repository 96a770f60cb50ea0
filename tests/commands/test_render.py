"""`sparring render`: the film of a run, from what the run has left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import sparring
from sparring import cli
from sparring.commands.render import shown
from sparring.errors import InputError
from sparring.runs import differences

DUEL = "discs/duel,limit=40"
SMALL = ("--size", "96", "96")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with finished runs that can be filmed, and some that cannot."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as at:
        at.chdir(folder)
        # The victim stands still, and is pushed out.
        sparring.evaluate(
            DUEL, victim="zero", attacker="builtin:disc", budget=0.7, benign="zero", episodes=4, out="run"
        )
        sparring.evaluate("matrix/rps", victim="first", attacker="first", episodes=4, oracle="sampled", out="rps")
        sparring.evaluate("matrix/rps", victim="first", attacker="first", out="exact")
        sparring.evaluate("matrix/rps", victim=["first", "uniform"], attacker="first", out="crossed")
        sparring.certify("matrix/rps", victim="first", out="certified")
        shutil.copytree("run", "begun")
        status = json.loads(Path("begun/status.json").read_text())
        Path("begun/status.json").write_text(json.dumps({**status, "state": "interrupted"}))
    return folder


@pytest.fixture(autouse=True)
def there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)


def rendered(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert cli.main(["render", *words, *SMALL, "--json"]) == cli.DONE
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_an_evaluation_is_filmed_beside_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    result = rendered(capsys, "run")
    film = Path(result["film"])
    assert film == Path("run.mp4").resolve() and film.stat().st_size > 1_000
    benign, attacked = result["panels"]
    assert (benign["name"], attacked["name"]) == ("benign opponent", "budget 0.7")
    assert benign["controlled"] == 0 < attacked["controlled"] <= attacked["steps"] <= 40
    assert result["seed"] == 0 and 0 <= result["match"] < 16
    assert differences(Path("run")) == {}
    before = film.read_bytes()
    assert rendered(capsys, "run") == result and film.read_bytes() == before
    assert cli.main(["render", "run", *SMALL]) == cli.DONE
    assert f"controlled in {attacked['controlled']} of {attacked['steps']} steps" in capsys.readouterr().out


def test_budgets_match_seed_and_kind_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", "--budgets", "0.3", "1", "--match", "2", "--seed", "5", "--out", "film.webp", "--fps", "10")
    result = rendered(capsys, *words)
    assert Path("film.webp").read_bytes()[8:12] == b"WEBP"
    assert [panel["name"] for panel in result["panels"]] == ["benign opponent", "budget 0.3", "budget 1"]
    assert (result["match"], result["seed"]) == (2, 5)
    full = result["panels"][2]
    assert full["controlled"] == full["steps"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["rps"], "no picture: matrix/rps cannot draw itself"),
        (["exact"], "exact: this run was solved exactly, and played no match that could be shown"),
        (["crossed"], "crossed: several victims or attackers met each other here: evaluate one pair"),
        (["certified"], "a run of sparring certify has no film; expected an audit, an attack or an evaluation"),
        (["begun"], "begun: this run is not finished (interrupted): sparring resume begun goes on with it"),
        (["run", "--out", "film.gif"], "expected a file that ends with .mp4 or .webp, got '.gif'"),
        (["run", "--out", "run/film.mp4"], "is in the folder of a run"),
        (["run", "--out", "no/film.mp4"], "out no/film.mp4: there is no folder no"),
        (["run", "--match", "16"], "match: expected 0 to 15, got 16"),
        (["run", "--fps", "0"], "fps: expected 1 to 240, got 0"),
        (["run", "--seed", "-1"], "seed: expected a whole number from 0, got -1"),
        (["run", "--budgets", "1.5"], "budget: expected a probability in [0, 1]"),
        (["run", "--size", "1", "1"], "size: expected width and height from 16 to 4096 pixels, got 1 1"),
    ],
)
def test_what_cannot_be_filmed_is_said_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["render", *words]) == cli.BAD_INPUT
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and not said.out


def test_of_many_budgets_three_are_shown() -> None:
    assert shown((0.7, 0.3, 1.0), 0.7) == (0.3, 0.7, 1.0)
    tenths = [tenth / 10 for tenth in range(11)]
    assert shown(tenths, 1.0) == (0.0, 0.5, 1.0)
    assert shown(tenths, 0.8) == (0.0, 0.8, 1.0)
    assert shown((1.0,), 1.0) == (1.0,)


TRAINED = {"victim": "builtin:disc-early", "benign": "builtin:disc-early", "steps": 2048, "num_games": 16}
TRAINED |= {"steps_per_round": 64, "start": "scratch"}


@pytest.mark.slow
def test_an_audits_clip_is_its_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three attackers that were trained: rendered again from the files that the audit has kept, bit for bit."""
    audited = sparring.audit(DUEL, **TRAINED, budgets=[0.3, 0.7, 1.0], seeds=1, episodes=16, out=tmp_path / "audited")
    assert audited["no_clip"] is None
    assert cli.main(["render", str(tmp_path / "audited"), "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert Path(result["film"]).read_bytes() == (tmp_path / "audited" / audited["clip"]).read_bytes()
    names = [panel["name"] for panel in result["panels"]]
    assert names == ["benign opponent", "budget 0.3", "budget 0.7", "budget 1"]
    assert "A red border marks" in Path(audited["report"]).read_text()
    one = rendered(capsys, str(tmp_path / "audited"), "--budgets", "0.7")
    assert [panel["name"] for panel in one["panels"]] == ["benign opponent", "budget 0.7"]
    assert cli.main(["render", str(tmp_path / "audited"), "--budgets", "0.5"]) == cli.BAD_INPUT
    assert "expected some of 0.3, 0.7, 1, at which this audit attacked, got 0.5" in capsys.readouterr().err
    job = tmp_path / "audited" / "jobs" / "benign"
    assert cli.main(["render", str(job)]) == cli.BAD_INPUT
    assert "give the audit's own folder" in capsys.readouterr().err


@pytest.mark.slow
def test_an_attack_is_filmed_and_a_victim_that_has_changed_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "attacked"
    sparring.attack(DUEL, **TRAINED, budget=0.5, episodes=16, out=folder)
    result = rendered(capsys, str(folder), "--out", str(tmp_path / "film.mp4"))
    assert [panel["name"] for panel in result["panels"]] == ["benign opponent", "budget 0.5"]
    victim = tmp_path / "victim.safetensors"
    shutil.copyfile(folder / "attacker.safetensors", victim)
    sparring.evaluate(DUEL, victim=f"native:{victim}", attacker="zero", episodes=4, out=tmp_path / "own")
    victim.write_bytes(victim.read_bytes()[:-4] + b"\0\0\0\0")
    assert cli.main(["render", str(tmp_path / "own"), *SMALL]) == cli.BAD_INPUT
    assert "victim.safetensors has changed since this run was begun" in capsys.readouterr().err


@pytest.mark.slow
def test_an_audit_is_complete_where_nothing_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No OpenGL, no encoder, or a game whose own drawing fails: the report says it."""
    from sparring.report import video

    monkeypatch.setattr(video, "_has_h264", lambda: False)
    monkeypatch.setattr(video, "_has_pillow", lambda: False)
    found = sparring.audit(DUEL, **TRAINED, budgets=[1.0], seeds=1, episodes=16, out=tmp_path / "audited")
    assert found["clip"] is None and found["no_clip"].startswith("no film: neither PyAV nor Pillow is installed")
    assert "neither PyAV nor Pillow" in Path(found["report"]).read_text() and found["verdict"]


def test_a_python_object_cannot_be_loaded_again() -> None:
    sparring.evaluate(
        DUEL,
        victim=sparring.load_policy("zero", sparring.make_game(DUEL), "disc0"),
        attacker="zero",
        episodes=2,
        out="object",
    )
    with pytest.raises(InputError, match="was a Python object"):
        from sparring.commands.render import Settings, answer

        answer(Settings("object"))
