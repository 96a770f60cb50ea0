from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.report.html import rewrite_report, write_report
from sparring.report.verdict import exact_verdict, verdict


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
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(path: Path) -> Page:
    return Page(path.read_text())


def test_the_report_says_what_was_found_and_what_was_not_tested(audit: Any, tmp_path: Path) -> None:
    path = write_report(audit, tmp_path)
    assert path == tmp_path / "report.html"
    text = page(path).text
    for part in (verdict(audit), audit["command"], *audit["not_tested"], "no OpenGL here", "learner.clip"):
        assert part in text
    assert text.index(verdict(audit)) < text.index("Damage by attack budget") < text.index("What was not tested")
    assert json.loads((tmp_path / "audit.json").read_text()) == audit
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.html",
        "audit.json",
        "damage.svg",
        "curves.svg",
        "shift.svg",
    }


def test_the_report_needs_no_network_and_no_script(audit: Any, tmp_path: Path) -> None:
    found = page(write_report(audit, tmp_path))
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    references = [value for value in found.values if re.match(r"\w+:", value) and not value.startswith("data:")]
    names = re.compile(r"http://(www\.w3\.org|purl\.org|creativecommons\.org)/")  # XML namespaces are never fetched
    assert all(names.match(value) or not value.startswith(("http", "file", "ftp")) for value in references)


def test_all_text_is_escaped(audit: Any, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    for key in ("game", "victim", "benign", "command", "no_clip"):
        audit[key] = evil
    audit["settings"] = {evil: evil}
    audit["versions"] = {evil: evil}
    audit["not_tested"] = [evil]
    audit["budgets"][0]["attacker"] = evil
    audit["budgets"][0]["baselines"][evil] = audit["budgets"][0]["baselines"]["zero"]
    found = page(write_report(audit, tmp_path))
    assert not {"script", "img"} & set(found.tags)
    assert evil in found.text


def test_the_report_can_be_made_again(audit: Any, tmp_path: Path) -> None:
    path = write_report(audit, tmp_path)
    first = path.read_bytes()
    path.unlink()
    assert rewrite_report(tmp_path) == path
    assert path.read_bytes() == first
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(InputError, match="the audit lacks 'benign'"):
        rewrite_report(tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*audit\.json"):
        rewrite_report(tmp_path / "nowhere")


def test_numpy_numbers_are_welcome(audit: Any, tmp_path: Path) -> None:
    audit["budgets"][0]["win"] = np.float32(0.5)
    audit["budgets"][0]["episodes"] = np.int64(400)
    audit["budgets"][0]["victim_return"] = np.float64(-3)
    assert "50%" in page(write_report(audit, tmp_path)).text


@pytest.mark.parametrize(("suffix", "tag"), [(".mp4", "video"), (".webp", "img"), (".gif", "img")])
def test_the_clip_travels_inside(suffix: str, tag: str, audit: Any, tmp_path: Path) -> None:
    (tmp_path / f"clip{suffix}").write_bytes(b"moving pictures")
    found = page(write_report({**audit, "clip": f"clip{suffix}"}, tmp_path))
    assert tag in found.tags
    assert any(value.endswith(f";base64,{base64.b64encode(b'moving pictures').decode()}") for value in found.values)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("../secret.mp4", "expected a file name in the audit's folder"),
        ("/etc/passwd", "expected a file name in the audit's folder"),
        ("clip.exe", "expected one of .mp4"),
        ("none.mp4", "cannot read"),
    ],
)
def test_a_clip_from_elsewhere_is_refused(clip: str, message: str, audit: Any, tmp_path: Path) -> None:
    (tmp_path.parent / "secret.mp4").write_bytes(b"secret")
    with pytest.raises(InputError, match=re.escape(message)):
        write_report({**audit, "clip": clip}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_audit_without_curves_shift_and_exclusions(audit: Any, tmp_path: Path) -> None:
    del audit["no_clip"]
    audit |= {"curves": [], "not_tested": []}
    for result in audit["budgets"]:
        result |= {"shift": None, "shift_noise_floor": None, "victim_return_ci": None}
    text = page(write_report(audit, tmp_path)).text
    for sentence in ("nothing was trained", "was not measured", "no claim of completeness", "none was recorded"):
        assert sentence in text


def test_the_report_of_an_exact_audit(exact_audit: Any, tmp_path: Path) -> None:
    exact_audit["victim"] = "<b>uniform</b>"
    path = write_report(exact_audit, tmp_path)
    found = page(path)
    for part in (exact_verdict(exact_audit), "<b>uniform</b>", "verified", "not NashConv", *exact_audit["not_tested"]):
        assert part in found.text
    assert not {"script", "link", "b", "video"} & set(found.tags)
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "audit.json", "exploitability.svg", "shift.svg"}
    before = path.read_bytes()
    path.unlink()
    assert rewrite_report(tmp_path).read_bytes() == before
