from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import curve, exact, learned, matches, returns, three_budgets

from sparring.answers import AuditResult
from sparring.errors import InputError
from sparring.judgement import by_start, over_seeds, positive_control_of, rates_of, still_improving
from sparring.judgement.words import interval
from sparring.metrics.intervals import newcombe
from sparring.records import SeedResult, replaced
from sparring.report.html import rewrite_report, write_report
from sparring.results import read, read_audit

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """Collects a page's visible text, tags and attributes; refuses tags closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.values, self._open = "", [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(path: Path) -> Page:
    return Page(path.read_text())


def words(audit: AuditResult) -> str:
    assert audit.verdict is not None
    return audit.verdict.text


def test_the_report_says_what_was_found_and_what_was_not_tested(tmp_path: Path) -> None:
    audit = three_budgets(fail_above=0.05)
    path = write_report(audit, tmp_path)
    assert path == tmp_path / "report.html"
    text = page(path).text
    for part in (words(audit), audit.command, *audit.not_tested, "no OpenGL here", "learner.clip", "A finding."):
        assert part in text
    assert "The attacker maximised minus the return of ant0." in text
    assert "There is no positive control" in text
    assert text.index(words(audit)) < text.index("Damage by attack budget") < text.index("What was not tested")
    assert read_audit(tmp_path) == audit
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.html",
        "audit.json",
        "damage.svg",
        "curves.svg",
    }
    # Of an audit of before attacks were looked at closely, what was known is told.
    assert "Budget 1: Wasserstein-2 distance per feature 0.4, between two samples of benign matches 0.05." in text


def test_both_measures_with_intervals_at_every_budget(tmp_path: Path) -> None:
    text = page(write_report(three_budgets(), tmp_path)).text
    for part in ("Attacker's wins *", "Victim's losses", "Victim's return", "+17 points [+9, +25]", "+0.315 ["):
        assert part in text
    assert "the least and the largest one seen in this audit" in text


def test_a_game_without_winners_shows_returns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    attacks, benign = {1.0: returns(rng.normal(20, 8, 96))}, returns(rng.normal(66, 8, 96))
    audit = learned(attacks, benign, known=(-100.0, 200.0), fail_above=10.0, curves=())
    path = write_report(audit, tmp_path)
    text = page(path).text
    assert "Victim's return *" in text and "which is the game's own range" in text
    assert "Attacker's wins" not in text and "Win" not in text
    assert "mean return of the victim" in (tmp_path / "damage.svg").read_text()
    assert "nothing was trained" in text


def test_seeds_convergence_and_control_are_shown(tmp_path: Path) -> None:
    rows = tuple(
        SeedResult(
            seed=k,
            attacker=f"attack-{k}.safetensors",
            attack_steps=2_000_000,
            rates=rates_of(matches(150 + 50 * k)),
            chosen=k == 2,
            still_improving=still_improving(curve(1.0, 0.4 + 0.25 * k)),
        )
        for k in range(3)
    )
    audit = learned({1.0: matches(190)}, matches(184))
    audit = replaced(
        audit, budgets=(replaced(audit.budgets[0], seeds=rows, over_seeds=over_seeds(rows)),), verdict=None
    )
    control = positive_control_of(learned({1.0: matches(350)}, matches(100), victim="builtin:early-ant"))
    text = page(write_report(replaced(audit, positive_control=control), tmp_path)).text
    for part in ("the strongest", "mean of 3", "yes: train longer", "not shown", "on builtin:early-ant"):
        assert part in text
    assert "No finding." in text and "known to be exploitable.\n</li>" not in text
    assert "Every training seed" in text and "Start" not in text  # as in older results, which do not name it
    named = tuple(replaced(row, start=start, seed=k) for start in ("scratch", "benign") for k, row in enumerate(rows))
    with_starts = replaced(audit.budgets[0], seeds=named, over_seeds=over_seeds(named), by_start=by_start(named))
    path = write_report(replaced(audit, budgets=(with_starts,)), tmp_path)
    assert "Every start and training seed" in page(path).text and page(path).text.count("mean of 3") == 2
    assert path.read_text().count("<td>benign</td><td>mean of 3</td>") == 1
    assert read_audit(tmp_path).budgets[0].by_start == by_start(named)


def test_invalid_matches_are_shown_both_ways(tmp_path: Path) -> None:
    audit = learned({1.0: matches(1, 0, 9, invalid=51)}, matches(6, 0, 60))
    # All 51 lost by the attacker, or all won, of 60.
    ends = [interval("win", newcombe(won, 60, 6, 60)) for won in (1, 52)]
    text = page(write_report(audit, tmp_path)).text
    for part in ("This audit cannot tell.", "51 of 60", "counted against the attacker", *ends):
        assert part in text
    path = write_report(three_budgets(), tmp_path)
    assert "counted against the attacker" not in page(path).text


def test_the_report_needs_no_network_and_no_script(tmp_path: Path) -> None:
    found = page(write_report(three_budgets(), tmp_path))
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    references = [value for value in found.values if re.match(r"\w+:", value) and not value.startswith("data:")]
    names = re.compile(r"http://(www\.w3\.org|purl\.org|creativecommons\.org)/")  # XML namespaces are never fetched
    assert all(names.match(value) or not value.startswith(("http", "file", "ftp")) for value in references)


def test_all_text_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    plain = {evil: matches(20, 60, 200)}
    named: dict[str, Any] = {key: evil for key in ("game", "victim", "benign", "command", "no_clip", "others")}
    audit = learned({1.0: matches(252)}, matches(184), plain, **named, settings={evil: evil}, versions={evil: evil})
    audit = replaced(audit, budgets=(replaced(audit.budgets[0], attacker=evil),), agents=(evil, "b"))
    found = page(write_report(audit, tmp_path))
    assert not {"script", "img"} & set(found.tags)
    assert evil in found.text


def test_the_report_can_be_made_again(tmp_path: Path) -> None:
    path = write_report(three_budgets(), tmp_path)
    first = path.read_bytes()
    path.unlink()
    assert rewrite_report(tmp_path) == path
    assert path.read_bytes() == first
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(InputError, match=r"audit\.json has no schema, .*: it has no game"):
        rewrite_report(tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*audit\.json"):
        rewrite_report(tmp_path / "nowhere")


def test_reports_of_older_audits_can_be_made_again(tmp_path: Path) -> None:
    audit = json.loads((ROOT / "results" / "zoo-ant" / "audit.json").read_text())
    assert "schema" not in audit
    (tmp_path / "audit.json").write_text(json.dumps({**audit, "clip": None}))
    text = page(rewrite_report(tmp_path)).text
    assert audit["game"] in text and audit["command"] in text
    record = read(audit)
    assert [result.win for result in record.budgets] == [result["win"] for result in audit["budgets"]]


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "tag"), [(".mp4", "video"), (".webp", "img"), (".gif", "img")])
def test_the_clip_travels_inside(suffix: str, tag: str, tmp_path: Path) -> None:
    (tmp_path / f"clip{suffix}").write_bytes(b"moving pictures")
    found = page(write_report(three_budgets(clip=f"clip{suffix}"), tmp_path))
    assert tag in found.tags
    assert any(value.endswith(f";base64,{base64.b64encode(b'moving pictures').decode()}") for value in found.values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("../secret.mp4", "expected a file name in the audit's folder"),
        ("/etc/passwd", "expected a file name in the audit's folder"),
        ("clip.exe", "expected one of .mp4"),
        ("none.mp4", "cannot read"),
    ],
)
def test_a_clip_from_elsewhere_is_refused(clip: str, message: str, tmp_path: Path) -> None:
    (tmp_path.parent / "secret.mp4").write_bytes(b"secret")
    with pytest.raises(InputError, match=re.escape(message)):
        write_report(three_budgets(clip=clip), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_audit_without_curves_and_shift(tmp_path: Path) -> None:
    audit = three_budgets(curves=(), no_clip=None, wall_time_s=None)
    budgets: Any = tuple(replaced(result, shift=None, shift_noise_floor=None) for result in audit.budgets)
    text = page(write_report(replaced(audit, budgets=budgets, not_tested=()), tmp_path)).text
    for sentence in ("nothing was trained", "was not measured", "no claim of completeness", "none was recorded"):
        assert sentence in text


def test_the_report_of_an_exact_audit(tmp_path: Path) -> None:
    audit = exact({0.0: 0.125, 0.5: -0.14, 1.0: -0.415}, victim="<b>uniform</b>")
    path = write_report(audit, tmp_path)
    found = page(path)
    for part in (words(audit), "<b>uniform</b>", "verified", "not NashConv", "Victim's value *", *audit.not_tested):
        assert part in found.text
    assert not {"script", "link", "b", "video"} & set(found.tags)
    assert "positive control" not in found.text.lower()
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "audit.json", "exploitability.svg", "shift.svg"}
    before = path.read_bytes()
    path.unlink()
    assert rewrite_report(tmp_path).read_bytes() == before
