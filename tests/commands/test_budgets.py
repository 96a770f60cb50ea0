from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audits import exact, learned, matches, returns

from sparring import cli
from sparring.commands.budgets import Settings, answer, budgets, text
from sparring.errors import InputError
from sparring.judgement import damage_of
from sparring.matches import Evaluation, write_matches
from sparring.metrics.intervals import wilson
from sparring.metrics.outcome import Sample
from sparring.records import replaced
from sparring.results import read, write


def audit_in(folder: Path, attacks: dict[float, Sample], alone: Sample, **changes: Any) -> Path:
    """An audit with the matches that it was made from."""
    folder.mkdir()
    write(learned(attacks, alone, **changes), folder / "audit.json")
    evaluations = [Evaluation("benign", 0.0, 0, alone)]
    evaluations += [Evaluation(f"final-{budget!r}", budget, 0, sample) for budget, sample in attacks.items()]
    write_matches(folder / "matches.csv", evaluations)
    return folder


SCORES = {"0.3": (0.38, 0.50, 0.71), "0.7": (0.41, 0.43, 0.53), "1": (0.44, 0.45, 0.50), "none": (0.59, 0.78, 0.90)}


def table_4(tmp_path: Path, labels: list[str], n: int = 400) -> list[str]:
    """Audits in which the attacks reach the scores of the paper's Table 4, and benign opponents win 30%."""
    for label in labels:
        attacks = {b: matches(round(n * p), n=n) for b, p in zip((0.3, 0.7, 1.0), SCORES[label], strict=True)}
        changes = {"victim": f"run:{label}", "benign": "random"}
        audit_in(tmp_path / label, attacks, matches(round(0.3 * n), n=n), **changes)
    return [str(tmp_path / label) for label in labels]


def test_three_rows_of_the_papers_table_4_advise_a_training_budget_of_07(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, labels, out = 4000, ["0.3", "0.7", "none"], tmp_path / "out"
    words = ["budgets", *table_4(tmp_path, labels, n), "--by", "damage", "--trained-at", *labels]
    assert cli.main([*words, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    record = read(out / "budgets.json")
    assert (record.advised, record.alike, record.budgets) == ("0.7", (), (0.3, 0.7, 1.0))
    # Damage is the score above 30%; regret is what it is above the least of the column: 38, 43 and 53%.
    assert [row.harm[2].value for row in record.rows] == pytest.approx([0.41, 0.23, 0.6])
    assert [row.worst.value for row in record.rows] == pytest.approx([0.18, 0.03, 0.37])
    assert [row.worst_at for row in record.rows] == [1.0, 0.3, 1.0]
    # Nine differences are looked at: 3 pairs of victims at 3 budgets.
    attacked, alone = matches(round(n * 0.71), n=n), matches(round(n * 0.3), n=n)
    assert record.rows[0].harm[2] == damage_of(attacked, alone, None, 9).win
    for part in ("that of the victim trained at 0.7: +3 points", "overlaps with no other one's", "lower bound", "none"):
        assert part in told
    assert {path.name for path in out.iterdir()} == {"budgets.json", "budgets.svg", "budgets.html"}
    page = (out / "budgets.html").read_text()
    assert "What the attacks reach" in page and "<script" not in page and ">+41<" in page


def test_few_matches_cannot_tell_victims_apart(tmp_path: Path) -> None:
    result = budgets(table_4(tmp_path, list(SCORES)), [0.3, 0.7, 1, "none"])
    # At budget .3 it is 3 points behind the first, and that of 1 is 6 points behind; noise is some 13.
    assert result["advised"] == "0.7" and "1" in result["alike"] and "none" not in result["alike"]
    assert "It cannot be told from that of the victim" in text(result)
    assert result["report"] is None and not list(tmp_path.glob("*.json"))


def test_a_victim_that_fails_by_itself_suffers_little_which_is_said(tmp_path: Path) -> None:
    stands = audit_in(tmp_path / "a", {1.0: matches(240)}, matches(120))
    lost = audit_in(tmp_path / "b", {1.0: matches(396)}, matches(390))
    result = budgets([stands, lost], ["none", 1], by="damage")
    assert result["advised"] == "1"
    assert "without an attack it does worse than the victim that was not hardened" in result["text"]
    # The attacks reach 60% and 99%: by what they reach, the other one is the better.
    result = budgets([stands, lost], ["none", 1])
    assert (result["advised"], result["alike"]) == ("none", [])
    assert [row["harm"][0]["value"] for row in result["rows"]] == pytest.approx([0.6, 0.99])
    low, high = wilson(240, 400)  # one pair of victims, one budget
    assert [result["rows"][0]["harm"][0][end] for end in ("low", "high")] == pytest.approx([low, high])
    assert "without an attack" not in result["text"]


def test_games_without_winners_and_exact_ones(tmp_path: Path) -> None:
    benign = returns([10.0, 11.0] * 100)
    a = audit_in(tmp_path / "a", {1.0: returns([0.0, 1.0] * 100)}, benign)
    b = audit_in(tmp_path / "b", {1.0: returns([8.0, 9.0] * 100)}, benign)
    result = budgets([a, b], ["0.3", "1"], by="damage")
    assert (result["measure"], result["advised"], result["alike"]) == ("return", "1", [])
    assert result["rows"][0]["regret"][0]["value"] == pytest.approx(8.0)
    for name, values in (("c", {0.5: -0.1, 1.0: -0.4}), ("d", {0.5: -0.2, 1.0: -0.3, 0.7: 0.0})):
        (tmp_path / name).mkdir()
        write(exact(values), tmp_path / name / "audit.json")
    result = budgets([tmp_path / "c", tmp_path / "d"], ["0.5", "1"], by="damage")
    # Regrets of .1 each, at the other budget.
    assert [row["worst"]["value"] for row in result["rows"]] == pytest.approx([0.1, 0.1])
    assert (result["advised"], result["alike"], result["left_out"]) == ("0.5", ["1"], [0.7])
    assert "That of the victim trained at 1 is equal." in result["text"]
    result = budgets([tmp_path / "c", tmp_path / "d"], ["0.5", "1"], by="score")
    assert [harm["value"] for harm in result["rows"][0]["harm"]] == pytest.approx([0.1, 0.4])
    result = budgets([a, b], ["0.3", "1"], by="score")
    assert [row["harm"][0]["value"] for row in result["rows"]] == pytest.approx([-0.5, -8.5])
    assert "minus the victim's return under attack" in result["text"] and result["advised"] == "1"


def test_what_cannot_be_set_side_by_side_is_refused_in_one_line(tmp_path: Path) -> None:
    sample = matches(20, 0, 40)
    a, b = (audit_in(tmp_path / name, {1.0: sample}, sample) for name in ("a", "b"))
    other = audit_in(tmp_path / "other", {1.0: sample}, sample, game="robosumo/bug-vs-bug")
    half = audit_in(tmp_path / "half", {0.5: sample}, sample)
    bare = audit_in(tmp_path / "bare", {1.0: sample}, sample)
    (bare / "matches.csv").unlink()
    for given, labels, message in (
        ([a], [1], "expected at least two audits"),
        ([a, b], [1], "trained-at: expected one for each of 2 audits, got 1"),
        ([a, b], [1, 1.0], "trained-at: two victims were trained at 1, those of "),
        ([a, b], [], "is not noted beside it: give --trained-at"),
        ([a, other], [1, 0.5], "budgets: another game: "),
        ([a, half], [1, 0.5], "no budget of attack is in all audits"),
        ([a, bare], [1, 0.5], "matches.csv is missing"),
        ([a, tmp_path / "nowhere"], [1, 0.5], "there is no such folder"),
        ([a, a / "audit.json"], [1, 0.5], "are the same audit: give each once"),
        (str(a), [], "audits: expected a list of folders"),
    ):
        with pytest.raises(InputError, match=message) as raised:
            budgets(given, labels)
        assert "\n" not in str(raised.value)
    wrong: Any = "wins"
    with pytest.raises(InputError, match="by"):
        budgets([a, b], [1, 0.5], by=wrong)


@pytest.mark.parametrize("label", ["nan", "2", "-3", "inf", "1e400", "0,3", "", " ", "0.3 to 2", "0.3 to x"])
@pytest.mark.parametrize("as_number", [False, True])
def test_a_training_budget_is_a_probability_or_a_word(label: str, as_number: bool, tmp_path: Path) -> None:
    sample = matches(20, 0, 40)
    a, b = (audit_in(tmp_path / name, {1.0: sample}, sample) for name in ("a", "b"))
    given: Any = label
    if as_number:
        given = float(label) if label in ("nan", "2", "-3", "inf", "1e400") else [label]
    with pytest.raises(
        InputError, match=r"trained-at: expected budgets in .0, 1., ranges such as '0.3 to 1', or a word"
    ):
        budgets([a, b], [given, 1])


def test_one_budget_has_one_name(tmp_path: Path) -> None:
    sample = matches(20, 0, 40)
    a, b = (audit_in(tmp_path / name, {1.0: sample}, sample) for name in ("a", "b"))
    with pytest.raises(InputError, match=r"two victims were trained at 0\.5, those of "):
        budgets([a, b], ["0.5", "0.50"])
    result = budgets([a, b], ["0.30 to 1.0", "none"])
    assert [row["trained_at"] for row in result["rows"]] == ["0.3 to 1", "none"]


def test_the_training_budget_is_read_where_defend_has_noted_it(tmp_path: Path) -> None:
    sample = matches(20, 0, 40)
    audits = []
    for budget, ends in ((0.3, None), (0.7, (0.0, 1.0))):
        folder = tmp_path / f"defended-{budget}"
        folder.mkdir()
        write(defended(budget, ends), folder / "defend.json")
        victim = f"run:{folder}" if ends is None else f"native:{folder / 'victim.safetensors'}"
        audits.append(str(audit_in(tmp_path / f"audit-{budget}", {1.0: sample}, sample, victim=victim)))
    result = answer(Settings(audits=tuple(audits)))
    assert [row["trained_at"] for row in result["rows"]] == ["0.3", "0 to 1"]


def defended(budget: float, ends: tuple[float, float] | None) -> Any:
    from sparring.answers import DefendResult
    from sparring.records import LEARNED

    who: Any = {"game": "g", "victim": "v", "victim_seat": 0, "benign": "b", "oracle": LEARNED}
    made: Any = {"method": "two-timescale", "output": "last", "steps": 1, "policy": "victim.safetensors"}
    return replaced(DefendResult(**who, **made, budget=budget), budget_range=ends)
