"""What the stealth section adds to an audit: seconds of processor for it, and for everything else in the same audit.

shipped   disc-early against the attackers that come with the package: matches are played, nothing is trained
trained   the same, and an attacker is trained at each budget

The section is what looks at whole matches (distances with floors and p-values, classifiers, detectors), the coupling
certificate, and their figures. Both audits are in this process, and count once: they take minutes of processor, so
that a moment's disturbance is small beside them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sparring
from sparring.files import write_json
from sparring.oracles.learned import LearnedOracle
from sparring.report import html

GAME, VICTIM = "discs/duel", "builtin:disc-early"
LIMIT = 0.25  # of the rest
PARTS = ((LearnedOracle, "visibility"), (LearnedOracle, "certificate"), (html, "stealth_figures"))


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Seconds of processor in each part of the section."""

    def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*given, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.process_time() - begun

        return call

    before = [getattr(owner, name) for owner, name in PARTS]
    for (owner, name), function in zip(PARTS, before, strict=True):
        setattr(owner, name, clocked(name, function))
    try:
        yield
    finally:
        for (owner, name), function in zip(PARTS, before, strict=True):
            setattr(owner, name, function)


def share(**settings: Any) -> dict[str, Any]:
    """The section's seconds, the rest's, and the first by the second, of one audit."""
    spent: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, timed(spent):
        begun = time.process_time()
        sparring.audit(GAME, victim=VICTIM, out=str(Path(folder) / "audit"), **settings)
        whole = time.process_time() - begun
    section = sum(spent.values())
    return {"section": section, "rest": whole - section, "share": section / (whole - section), "parts": spent}


def measured(quick: bool) -> dict[str, Any]:
    """Both audits; `quick` makes them small."""
    few: dict[str, Any] = {"episodes": 40} if quick else {"episodes": 1000}
    trained = {"steps": 8192 if quick else 1_000_000, **few}
    audits = {"shipped": share(**few), "trained": share(**trained)}
    return {"audits": audits, "limit": LIMIT, "met": {name: one["share"] <= LIMIT for name, one in audits.items()}}


def report(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = []
    for name, one in result["audits"].items():
        said = f"section {one['section']:.1f} s, rest {one['rest']:.1f} s: adds {one['share']:.0%}"
        met = "" if result["met"][name] else "  MISSED"
        lines.append(f"{name:8} {said} (limit {result['limit']:.0%}){met}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small audits: it runs, nothing more")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args(arguments)
    result = measured(given.quick)
    print(report(result))
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
