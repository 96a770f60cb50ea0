from __future__ import annotations

import html
import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from audits import exact, learned, matches, returns

import sparring
from sparring import cli
from sparring.commands.compare import Settings, answer, compare, compared, text
from sparring.errors import InputError
from sparring.judgement.words import amount
from sparring.metrics.intervals import newcombe
from sparring.records import replaced
from sparring.report.html import write_report
from sparring.results import read


def runs(folder: Path, before: Any, after: Any) -> tuple[Path, Path]:
    for name, audit in (("before", before), ("after", after)):
        (folder / name).mkdir()
        write_report(audit, folder / name)
    return folder / "before", folder / "after"


def test_the_damage_before_and_after_with_the_interval_of_the_change(tmp_path: Path) -> None:
    first = learned({0.3: matches(200), 1.0: matches(360)}, matches(180), victim="run:weak")
    second = learned({1.0: matches(190), 0.7: matches(180)}, matches(180), victim="run:hardened")
    a, b = runs(tmp_path, first, second)
    result = compare(a, b / "audit.json", tmp_path / "out")
    assert result["schema"] == "sparring.compare/2"
    (entry,) = result["budgets"]
    assert (entry["budget"], result["only_before"], result["only_after"]) == (1.0, [0.3], [0.7])
    before, after, change = (entry["win"][key] for key in ("before", "after", "change"))
    # (190 - 180) / 400 - (360 - 180) / 400, and the distances to the ends of both intervals in quadrature.
    assert change["value"] == pytest.approx(-0.425)
    low = math.hypot(after["value"] - after["low"], before["high"] - before["value"])
    assert change["low"] == pytest.approx(-0.425 - low)
    assert change["high"] < 0
    for part in (
        "run:weak -> run:hardened",
        "budget 1: damage in wins +45 points",
        "fell, beyond the noise, at 1 of 1",
    ):
        assert part in text(result)
    assert "budgets 0.3, 0.7" in text(result) and "lower bound" in text(result)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"compare.json", "compare.svg", "compare.html"}
    assert read(tmp_path / "out" / "compare.json").budgets[0].win.change.value == change["value"]
    words = amount("win", read(tmp_path / "out" / "compare.json").budgets[0].win.change)
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "run:hardened" in page and "<script" not in page and words in page


OWN = "the victim's own policy"


def test_damages_from_different_benign_opponents_are_not_judged(tmp_path: Path) -> None:
    """The second victim loses less under attack, 60% instead of 90%, and yet its damage is larger: 55, not 45 points.

    Its own policy, which is the benign opponent, wins 5% against it; that of the first one won 45%.
    """
    first = learned({0.5: matches(300), 1.0: matches(360)}, matches(180), victim="run:weak", benign=OWN)
    second = learned({0.5: matches(200), 1.0: matches(240)}, matches(20), victim="run:hardened", benign=OWN)
    a, b = runs(tmp_path, first, second)
    result = compare(a, b, tmp_path / "out")
    assert result["same_benign"] is False
    assert (result["before"]["benign"], result["after"]["benign"]) == ("run:weak", "run:hardened")
    _, full = result["budgets"]
    assert [full[measure] for measure in ("win", "fail", "return", "value")] == [None] * 4
    change = full["reached"]["win"]["change"]
    # Newcombe's interval of 240 of 400 against 360 of 400.
    assert [change[key] for key in ("low", "high")] == pytest.approx(newcombe(240, 400, 360, 400))
    assert change["value"] == pytest.approx(-0.3) and full["reached"]["return"]["before"]["value"] == -0.8
    told = text(result)
    for part in (
        "The audits have different benign opponents (run:weak and run:hardened), so their damages cannot be compared: "
        "give both audits the same --benign.",
        "nothing is judged. Each interval is of 95% for itself.",
        "Below budget 1 the benign opponents have a part in that, too.",
        "budget 1: the attacker wins 90% [87, 93] -> 60% [55, 65]; change -30 points [-36, -24]",
        "budget 1: the victim's return under attack -0.8 [",
    ):
        assert part in told
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "60% [55, 65]" in page and "attacker&#39;s wins under attack, %" in page.replace("'", "&#39;")
    for judged in ("rose", "fell", "No change", "+45 points"):
        assert judged not in told and judged not in page
    assert read(tmp_path / "out" / "compare.json").budgets[1].reached["win"].change.value == change["value"]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (("run:a", OWN), ("run:b", OWN), False),
        (("run:a", OWN), ("run:b", "run:a"), True),  # the first one's own policy is run:a
        (("run:a", "random"), ("run:b", "random"), True),
        (("run:a", "random"), ("run:b", "zero"), False),
        (("<ActorCritic>", OWN), ("<ActorCritic>", OWN), False),  # two Python objects of one type
        (("<ActorCritic>", "<RandomPolicy>"), ("<ActorCritic>", "<RandomPolicy>"), True),
    ],
)
def test_the_benign_opponents_are_the_same_where_they_are_called_the_same(
    before: tuple[str, str], after: tuple[str, str], same: bool
) -> None:
    first, second = (
        learned({1.0: matches(20, 0, 40)}, matches(10, 0, 40), victim=victim, benign=benign)
        for victim, benign in (before, after)
    )
    record = compared(first, second)
    assert record.same_benign is same
    assert ("No change of the damage is beyond the noise." in record.text) is same
    assert ("give both audits the same --benign" in record.text) is not same


def test_an_audit_against_itself_shows_no_change_and_nothing_is_written(tmp_path: Path) -> None:
    audit = learned({1.0: returns([0.0, 1.0] * 20)}, returns([5.0, 6.0] * 20))
    a, b = runs(tmp_path, audit, audit)
    result = compare(a, b)
    assert result["budgets"][0]["return"]["change"]["value"] == 0
    assert "No change of the damage is beyond the noise." in text(result)
    assert {p.name for p in tmp_path.iterdir()} == {"before", "after"}


def test_the_command_writes_beside_where_it_is_told_to(tmp_path: Path) -> None:
    audit = learned({1.0: matches(20, 0, 40)}, matches(20, 0, 40))
    a, b = runs(tmp_path, audit, audit)
    result = answer(Settings(before=str(a), after=str(b), out=str(tmp_path / "out")))
    assert result == compare(a, b, tmp_path / "out")
    assert str(tmp_path / "out" / "compare.html") in text(result)
    assert answer(Settings(before=str(a), after=str(b)))["report"] is None


def test_exact_audits_have_no_noise(tmp_path: Path) -> None:
    a, b = runs(tmp_path, exact({1.0: -0.415}), exact({1.0: 0.0}))
    change = compare(a, b)["budgets"][0]["value"]["change"]
    assert change["value"] == change["low"] == change["high"] == pytest.approx(-0.415)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": "robosumo/bug-vs-bug"}, "another game: .* has robosumo/ant-vs-ant, .* has robosumo/bug-vs-bug"),
        ({"victim_seat": 1}, "another victim's seat"),
        ({"attackers": (0,)}, "another attackers' seats"),
        ({"control": "episode"}, "another control"),
        ({"oracle": "exact"}, "another oracle"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_in_one_line(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    audit = learned({1.0: matches(20, 0, 40)}, matches(20, 0, 40))
    a, b = runs(tmp_path, audit, audit)
    from sparring.results import write

    write(replaced(audit, **change), b / "audit.json")
    with pytest.raises(InputError, match=message) as raised:
        compare(a, b)
    assert "\n" not in str(raised.value)


def test_other_budgets_and_other_files_are_refused(tmp_path: Path) -> None:
    benign = matches(20, 0, 40)
    a, b = runs(tmp_path, learned({1.0: benign}, benign), learned({0.5: benign}, benign))
    with pytest.raises(InputError, match=r"no budget is in both audits: .* has 1, .* has 0\.5"):
        compare(a, b)
    with pytest.raises(InputError, match="there is no such folder"):
        compare(a, tmp_path / "nowhere")
    for same in (a, str(a), a / "audit.json", a / ".." / a.name):
        with pytest.raises(InputError, match="are the same audit: give two"):
            compare(a, same)


@pytest.mark.slow
def test_what_lies_in_the_folder_of_a_run_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audits = [
        sparring.audit("matrix/rps", victim=victim, budgets=1, out=str(tmp_path / victim))["run"]
        for victim in ("uniform", "first")
    ]
    capsys.readouterr()
    for verb, more in (("compare", []), ("budgets", ["--trained-at", "1", "none"])):
        for out, where in (
            (audits[0], "is the folder of a run"),
            (f"{audits[0]}/jobs/new", "is in the folder of a run"),
            (f"{audits[0]}/jobs/benign", "is the folder of a run"),
        ):
            assert cli.main([verb, *audits, *more, "--out", out]) == cli.BAD_INPUT
            told = capsys.readouterr().err
            assert where in told and told.count("\n") == 1
            assert not (Path(out) / f"{verb}.json").exists()
        assert cli.main([verb, *audits, *more, "--out", str(tmp_path / "new")]) == cli.DONE
        assert cli.main([verb, *audits, *more, "--out", str(tmp_path / "new")]) == cli.DONE  # its own, made again
    assert [cli.main(["verify", run]) for run in audits] == [0, 0]


@pytest.mark.slow
def test_the_commands_on_the_pages_make_the_pages_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for victim in ("uniform", "first"):
        words = ["matrix/rps", "--victim", victim, "--budgets", "1"]
        assert cli.main(["audit", *words, "--out", f"audit of {victim}"]) == cli.DONE
    audits = ["audit of uniform", "audit of first"]
    assert cli.main(["compare", *audits, "--out", "compared"]) == cli.DONE
    assert cli.main(["budgets", *audits, "--trained-at", "1", "none", "--by", "damage", "--out", "chosen"]) == cli.DONE
    for page in (Path("compared/compare.html"), Path("chosen/budgets.html")):
        text = page.read_text()
        again, made = (html.unescape(part).strip().splitlines() for part in re.findall("<pre>(.*?)</pre>", text, re.S))
        page.unlink()
        (command,) = map(shlex.split, again)
        assert command[0] == "sparring" and cli.main(command[1:]) == cli.DONE
        assert page.read_text() == text
        # The audits' own commands make these audits again, where their folders are not there.
        for line, name in zip(made, audits, strict=True):
            kept, command = Path(name).rename("kept"), shlex.split(line)
            assert command[0] == "sparring" and cli.main(command[1:]) == cli.DONE
            assert read(Path(name) / "audit.json").budgets == read(kept / "audit.json").budgets
            shutil.rmtree(kept)


def test_an_audit_from_python_is_a_comment_among_commands(tmp_path: Path) -> None:
    audit = learned({1.0: matches(20, 0, 40)}, matches(20, 0, 40), command="sparring.audit(...) from Python")
    a, b = runs(tmp_path, audit, audit)
    page = Path(compare(a, b, tmp_path / "out")["report"]).read_text()
    assert page.count("# sparring.audit(...) from Python") == 2


@pytest.mark.slow
def test_a_hardened_victim_is_compared_with_what_it_was(tmp_path: Path) -> None:
    """Rock is beaten by paper; hardened at full control it is the uniform policy, which nobody beats."""
    how = {"method": "double-oracle", "victim": "first", "budget": 1.0, "updates": 20}
    hardened = sparring.defend("matrix/rps", **how, out=str(tmp_path / "defend"))
    assert hardened["start_expl"] == 1.0 and hardened["expl"] == pytest.approx(0.0, abs=1e-9)
    audits = []
    for name, victim in (("before", "first"), ("after", f"run:{tmp_path}/defend")):
        cast = {"victim": victim, "benign": "uniform", "budgets": [0.5, 1.0]}
        audits.append(sparring.audit("matrix/rps", **cast, out=str(tmp_path / name))["run"])
    result = compare(*audits)
    (half, full) = result["budgets"]
    assert (half["budget"], full["budget"]) == (0.5, 1.0)
    # Against the uniform, benign opponent both are worth 0; under attack one loses the budget, the other nothing.
    for entry, budget in ((half, 0.5), (full, 1.0)):
        assert entry["value"]["before"]["value"] == pytest.approx(budget)
        assert entry["value"]["change"]["value"] == pytest.approx(-budget, abs=1e-9)


def test_a_change_that_is_rounding_is_none(tmp_path: Path) -> None:
    """0.1 + 0.2 is 5.6e-17 more than 0.3."""
    a, b = runs(tmp_path, exact({1.0: -(0.1 + 0.2)}), exact({1.0: -0.3}))
    result = compare(a, b)
    assert result["budgets"][0]["value"]["change"]["value"] == 0
    assert "e-17" not in text(result) and "No change of the damage is beyond the noise." in text(result)
