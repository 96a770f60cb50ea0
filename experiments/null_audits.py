"""How often an audit claims a finding where the attack has no effect, and how often it finds one that is there.

Every match is a draw of a random number; everything else is what an audit does (`sparring.judgement`). An audit has n
matches per evaluation, K budgets and one benign evaluation that all budgets share.

- `wins`: matches that are won with probability p, with and without the attack.
- `returns`: games without winners, judged by the victim's return; the range of returns is that seen.
- `power`: one of the K attacks raises the win rate from .3 (or, in `returns`, lowers the chance of a return of 1 from
  .7) by 10 or 20 points.
- `added_nothing`: the attack is d better than two plain opponents with half as many matches; how often the verdict says
  that its training added nothing.

Run: python experiments/null_audits.py [--audits 1000] [--out results/null-audits/null-audits.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparring.answers import AuditResult
from sparring.judgement import damage_of, judged, rates_of, rejudge, scale_of
from sparring.metrics.outcome import Sample
from sparring.records import BENIGN, LEARNED, BudgetResult, Goal, Rates, fields

MATCHES, BUDGETS, RATES = (40, 96, 400), (1, 3, 10), (0.02, 0.1, 0.3, 0.5, 0.9)
Draw = Callable[[np.random.Generator, int], np.ndarray]
RETURNS: dict[str, Draw] = {
    "1 with probability .01, else 0": lambda rng, n: (rng.random(n) < 0.01) * 1.0,
    "1 or -1": lambda rng, n: np.where(rng.random(n) < 0.5, 1.0, -1.0),
    "normal": lambda rng, n: rng.normal(size=n),
    "log-normal": lambda rng, n: rng.lognormal(size=n),
}


def winners(rng: np.random.Generator, n: int, p: float) -> Sample:
    """n matches that the attacker wins with probability p, and else loses. All returns are 0: wins alone are judged."""
    won = np.where(rng.random(n) < p, 1, -1).astype(np.int8)
    nothing = np.zeros(n)
    return Sample(won, -won, np.ones(n, np.int64), np.zeros(n, bool), nothing, nothing, {})


def returns(values: np.ndarray) -> Sample:
    """Matches of a game without winners in which the victim has these returns."""
    n = len(values)
    return Sample(None, None, np.ones(n, np.int64), np.zeros(n, bool), -values, values, {})


def rates(sample: Sample) -> Rates:
    """Rates with intervals; of returns the means alone, whose own intervals nothing is judged by."""
    if sample.attacker is None:
        return Rates(episodes=len(sample.length), victim_return=float(sample.victim_return.mean()))
    return rates_of(sample)


def audit(attacks: Sequence[Sample], benign: Sample, plain: Mapping[str, Sample]) -> AuditResult:
    """What an audit makes of these matches."""
    scale, count = scale_of([*attacks, benign, *plain.values()]), len(attacks)
    baselines = {name: rates(sample) for name, sample in {BENIGN: benign, **plain}.items()}
    results = [
        BudgetResult(
            **fields(rates(sample)),
            budget=(i + 1) / count,
            attacker="simulated",
            attack_steps=1,
            damage=damage_of(sample, benign, scale, count),
            baselines=baselines,
            versus={name: damage_of(sample, other, scale, count * len(plain)) for name, other in plain.items()},
        )
        for i, sample in enumerate(attacks)
    ]
    made = AuditResult(
        game="simulated",
        victim="simulated",
        victim_seat=0,
        attackers=(1,),
        benign="simulated",
        oracle=LEARNED,
        reward=Goal(weights={"victim": -1.0}),
        scale=scale,
        budgets=tuple(results),
    )
    return judged(made, 0.0)


def shares(made: Sequence[AuditResult]) -> dict[str, float]:
    """The share of findings, and of exits with code 1 and 4, among audits."""
    return {
        "finding": float(np.mean([a.verdict is not None and a.verdict.beyond_noise for a in made])),
        "exit_1": float(np.mean([a.exit_code == 1 for a in made])),
        "exit_4": float(np.mean([a.exit_code == 4 for a in made])),
    }


def wins(rng: np.random.Generator, n: int, count: int, p: float, effect: float = 0.0) -> AuditResult:
    attacks = [winners(rng, n, p + effect * (i == count - 1)) for i in range(count)]
    return audit(attacks, winners(rng, n, p), {})


def values(rng: np.random.Generator, n: int, count: int, draw: Draw, last: Draw) -> AuditResult:
    attacks = [returns((last if i == count - 1 else draw)(rng, n)) for i in range(count)]
    return audit(attacks, returns(draw(rng, n)), {})


def coin(p: float) -> Draw:
    return lambda rng, n: (rng.random(n) < p) * 1.0


def added_nothing(rng: np.random.Generator, n: int, better: float) -> AuditResult:
    few = max(16, n // 2)
    plain = {name: winners(rng, few, 0.6 - better) for name in ("zero", "random")}
    return audit([winners(rng, n, 0.6)], winners(rng, n, 0.3), plain)


def measure(audits: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    table: dict[str, list[dict[str, Any]]] = {"wins": [], "returns": [], "power": [], "added_nothing": []}
    for n in MATCHES:
        for count in BUDGETS:
            cell = {"matches": n, "budgets": count}
            for p in RATES:
                made = [wins(rng, n, count, p) for _ in range(audits)]
                above = float(np.mean([rejudge(one, 0.05).exit_code == 1 for one in made]))
                table["wins"].append({**cell, "p": p, **shares(made), "exit_1_above_.05": above})
            for name, draw in RETURNS.items():
                made = [values(rng, n, count, draw, draw) for _ in range(audits)]
                table["returns"].append({**cell, "distribution": name, **shares(made)})
            for effect in (0.1, 0.2):
                by_wins = [wins(rng, n, count, 0.3, effect) for _ in range(audits // 2)]
                by_returns = [values(rng, n, count, coin(0.7), coin(0.7 - effect)) for _ in range(audits // 2)]
                found = {"wins": shares(by_wins)["finding"], "returns": shares(by_returns)["finding"]}
                table["power"].append({**cell, "effect": effect, **found})
            print(cell, flush=True)
        for better in (0.02, 0.05, 0.1):
            made = [added_nothing(rng, n, better) for _ in range(audits)]
            texts = [a.verdict.text for a in made if a.verdict is not None and a.verdict.beyond_noise]
            said = sum("added nothing" in text for text in texts) / max(len(texts), 1)
            unsure = sum("not shown to be better" in text for text in texts) / max(len(texts), 1)
            row = {"matches": n, "better": better, "said": said, "said_not_shown": unsure}
            table["added_nothing"].append(row)
    worst = {
        f"{kind}, {key}": max(row[key] for row in table[kind])
        for kind in ("wins", "returns")
        for key in ("finding", "exit_1")
    }
    return {"audits": audits, "seed": seed, "largest": worst, **table}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/null-audits/null-audits.json"))
    options = parser.parse_args()
    found = measure(options.audits, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["largest"]))
