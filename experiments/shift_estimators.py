"""How well every distance between state distributions is estimated, where the truth has a closed form.

Two normal distributions with unit covariance in D dimensions, n independent states of each, dealt to 1,000 matches.
Distances of single features: every mean differs by .5. Distances of the joint distribution: the
means differ by a vector of length 1 along the diagonal, so that KL, total variation and Hellinger are the same in every
dimension. For each estimator, dimension and n:

- truth, the closed form;
- value: mean of the estimates; bias = value - truth; spread: their standard deviation;
- floor: mean of the estimates where both distributions are the same;
- corrected: value - floor;
- the largest error among the values and among the corrected ones, beside the error that `stated` states for both.

How often the 95% intervals of single features' distances contain the truth, with matches whose states follow each
other. And the null rate: how often an audit without an attack, whose matches are autoregressive, passes its floor and
has p <= .05.

Run: python experiments/shift_estimators.py [--out results/shift-estimators]   (about four minutes on a quiet core)
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.files import write_atomic, write_json
from sparring.metrics.classifier import total_variation_classifier
from sparring.metrics.distances import MEASURES, compare_states
from sparring.metrics.joint import mmd, wasserstein2_exact, wasserstein2_gaussian, wasserstein2_sliced
from sparring.metrics.neighbours import kl_neighbours, total_variation_neighbours
from sparring.metrics.shift import histogram_divergences, wasserstein2_squared
from sparring.types import States

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS, SIZES, MATCHES = (1, 10, 100), (1_000, 10_000), 1_000
REPEATS = {1_000: 20, 10_000: 4}
SLOW = {"kl-neighbours": 1, "total-variation-neighbours": 1, "mmd": 1}  # repeats at 10,000 states
EXACT_STATES = 500
STEP, LENGTH = 0.5, 1.0  # of the means, in each feature and altogether
NULL_AUDITS, NULL_COSTLY = 100, 40
NULL = {"matches": 20, "steps": 10, "features": 3, "correlation": 0.9, "resamples": 99}
COUNTS, SHIFTS, SETS = (10, 40, 100), (0.0, 0.1, 0.25, 0.5, 1.5), 100  # of intervals: matches, shifts, repetitions
STEPS, CORRELATION = 20, 0.97  # of these matches
SEED = 0


class Sample(NamedTuple):
    """States of both distributions and the matches that they are dealt to."""

    x: np.ndarray
    y: np.ndarray
    match: np.ndarray


def truth_kernel(features: int, step: float) -> float:
    """Squared MMD of N(0, I) and N(m, I) with |m| = step, for the width h = sqrt(D).

    E k(X, X') = (h^2 / (h^2 + 2))^(D/2), and E k(X, Y) = that times exp(-|m|^2 / (2 (h^2 + 2))).
    """
    square = float(features)
    return 2 * (square / (square + 2)) ** (features / 2) * (1 - math.exp(-(step**2) / (2 * (square + 2))))


def overlap(step: float) -> float:
    """Total variation of two normal distributions whose means are so many standard deviations apart."""
    return 2 * NormalDist().cdf(step / 2) - 1


class Estimator(NamedTuple):
    """An estimate, and the closed form in D dimensions."""

    estimate: Callable[[Sample, int], float]
    truth: Callable[[int], float]
    by_feature: bool = False


def _histogram(name: str, sample: Sample, seed: int) -> float:
    del seed
    return float(histogram_divergences(sample.x, sample.y)[name].mean())


ESTIMATORS: Mapping[str, Estimator] = {
    # The unit is the variance of the even mixture, 1 + step^2 / 4.
    "wasserstein2": Estimator(
        lambda s, _: float(wasserstein2_squared(s.x, s.y).mean()), lambda d: STEP**2 / (1 + STEP**2 / 4), True
    ),
    "total-variation": Estimator(partial(_histogram, "total variation"), lambda d: overlap(STEP), True),
    "kl": Estimator(partial(_histogram, "KL"), lambda d: STEP**2 / 2, True),
    "hellinger": Estimator(partial(_histogram, "squared Hellinger"), lambda d: 1 - math.exp(-(STEP**2) / 8), True),
    "wasserstein2-exact": Estimator(
        lambda s, _: wasserstein2_exact(s.x[:EXACT_STATES], s.y[:EXACT_STATES]).value, lambda d: LENGTH**2 / d
    ),
    "wasserstein2-sliced": Estimator(lambda s, seed: wasserstein2_sliced(s.x, s.y, seed=seed), lambda d: LENGTH**2 / d),
    "wasserstein2-gaussian": Estimator(lambda s, _: wasserstein2_gaussian(s.x, s.y), lambda d: LENGTH**2 / d),
    "kl-neighbours": Estimator(lambda s, _: kl_neighbours(s.y, s.x, s.match, s.match), lambda d: LENGTH**2 / 2),
    "total-variation-classifier": Estimator(
        lambda s, seed: total_variation_classifier(s.x, s.y, s.match, s.match, seed), lambda d: overlap(LENGTH)
    ),
    "total-variation-neighbours": Estimator(
        lambda s, _: total_variation_neighbours(s.x, s.y, s.match, s.match), lambda d: overlap(LENGTH)
    ),
    "mmd": Estimator(
        lambda s, _: mmd(s.x, s.y, s.match, s.match, math.sqrt(s.x.shape[1])), lambda d: truth_kernel(d, LENGTH)
    ),
}
# The error of the value, and of the corrected one, for D = 1, 10, 100: about the bias and three times the spread.
_STATED = {
    1_000: {
        "wasserstein2": ((0.12, 0.06, 0.02), (0.12, 0.06, 0.015)),
        "total-variation": ((0.07, 0.04, 0.025), (0.12, 0.09, 0.075)),
        "kl": ((0.09, 0.05, 0.03), (0.08, 0.03, 0.01)),
        "hellinger": ((0.02, 0.01, 0.006), (0.018, 0.007, 0.003)),
        "wasserstein2-exact": ((0.45, 0.6, 1.5), (0.45, 0.08, 0.03)),
        "wasserstein2-sliced": ((0.35, 0.06, 0.012), (0.35, 0.06, 0.008)),
        "wasserstein2-gaussian": ((0.35, 0.05, 0.056), (0.35, 0.04, 0.006)),
        "kl-neighbours": ((0.25, 0.35, 0.8), (0.25, 0.35, 0.8)),
        "total-variation-classifier": ((0.12, 0.1, 0.25), (0.12, 0.1, 0.25)),
        "total-variation-neighbours": ((0.12, 0.12, 0.26), (0.12, 0.12, 0.26)),
        "mmd": ((0.06, 0.012, 0.0025), (0.06, 0.012, 0.0025)),
    },
    10_000: {
        "wasserstein2": ((0.045, 0.015, 0.006), (0.045, 0.015, 0.005)),
        "total-variation": ((0.02, 0.01, 0.006), (0.05, 0.04, 0.035)),
        "kl": ((0.025, 0.012, 0.005), (0.025, 0.012, 0.004)),
        "hellinger": ((0.005, 0.003, 0.0015), (0.005, 0.003, 0.0012)),
        "wasserstein2-exact": ((0.45, 0.6, 1.5), (0.45, 0.08, 0.03)),
        "wasserstein2-sliced": ((0.1, 0.05, 0.006), (0.1, 0.05, 0.006)),
        "wasserstein2-gaussian": ((0.1, 0.012, 0.007), (0.1, 0.012, 0.002)),
        "kl-neighbours": ((0.05, 0.15, 0.4), (0.05, 0.15, 0.5)),
        "total-variation-classifier": ((0.04, 0.03, 0.04), (0.04, 0.03, 0.04)),
        "total-variation-neighbours": ((0.04, 0.06, 0.12), (0.05, 0.07, 0.14)),
        "mmd": ((0.02, 0.004, 0.001), (0.02, 0.004, 0.001)),
    },
}


def stated(name: str, features: int, n: int) -> tuple[float, float]:
    """The error that is stated for an estimator: of the value, and of the corrected one."""
    value, corrected = _STATED[n][name]
    place = DIMENSIONS.index(features)
    return value[place], corrected[place]


def sample(rng: np.random.Generator, features: int, n: int, step: float) -> Sample:
    """N(0, I) and N((step, ..., step), I)."""
    match = np.arange(n) % MATCHES
    return Sample(rng.normal(size=(n, features)), rng.normal(size=(n, features)) + step, match)


def step_of(estimator: Estimator, features: int) -> float:
    """By how much the mean of every feature differs."""
    return STEP if estimator.by_feature else LENGTH / math.sqrt(features)


def accuracy(name: str, features: int, n: int, repeats: int, seed: int) -> dict[str, Any]:
    """What the estimates of one estimator are in one dimension and at one n."""
    estimator, begun = ESTIMATORS[name], time.process_time()
    key = [seed, list(ESTIMATORS).index(name), features, n]
    rng = np.random.default_rng(key)
    apart = [estimator.estimate(sample(rng, features, n, step_of(estimator, features)), i) for i in range(repeats)]
    same = [estimator.estimate(sample(rng, features, n, 0.0), i) for i in range(repeats)]
    truth, value, floor = estimator.truth(features), float(np.mean(apart)), float(np.mean(same))
    errors = np.abs(np.array(apart) - truth)
    corrected_errors = np.abs(np.array(apart) - floor - truth)
    promised, corrected_promised = stated(name, features, n)
    return {
        "estimator": name,
        "features": features,
        "n": n,
        "repeats": repeats,
        "truth": truth,
        "value": value,
        "bias": value - truth,
        "spread": float(np.std(apart, ddof=1)) if repeats > 1 else None,
        "floor": floor,
        "corrected": value - floor,
        "largest_error": float(errors.max()),
        "stated_error": promised,
        "largest_error_corrected": float(corrected_errors.max()),
        "stated_error_corrected": corrected_promised,
        "within": float(np.mean((errors <= promised) & (corrected_errors <= corrected_promised))),
        "seconds": (time.process_time() - begun) / (2 * repeats),
    }


def matches(rng: np.random.Generator, count: int, steps: int, features: int, correlation: float) -> States:
    """Matches whose states follow each other: x' = a x + sqrt(1 - a^2) noise, begun in its equilibrium."""
    rows = np.zeros((count, steps, features))
    rows[:, 0] = rng.normal(size=(count, features))
    for t in range(1, steps):
        noise = rng.normal(size=(count, features))
        rows[:, t] = correlation * rows[:, t - 1] + math.sqrt(1 - correlation**2) * noise
    return States(
        rows.reshape(-1, features).astype(np.float32),
        np.repeat(np.arange(count), steps),
        np.tile(np.arange(steps), count),
    )


def null_rate(measure: str, audits: int, seed: int) -> dict[str, Any]:
    """How often audits without an attack pass the floor, and how often p is at most .05."""
    setting = (NULL["matches"], NULL["steps"], NULL["features"], NULL["correlation"])
    names = [f"feature {i}" for i in range(int(NULL["features"]))]
    passed, small = 0, 0
    for audit in range(audits):
        rng = np.random.default_rng([seed, 1, audit])
        benign, again, attacked = (matches(rng, *setting) for _ in range(3))  # pyright: ignore[reportArgumentType]
        (found,) = compare_states(
            benign, again, attacked, names, seed=audit, measures=[measure], resamples=int(NULL["resamples"])
        )
        passed, small = passed + found.above_floor, small + (found.p <= 0.05)
    return {"measure": measure, "audits": audits, "above_floor": passed / audits, "p_at_most_.05": small / audits}


TRUTHS: Mapping[str, Callable[[float], float]] = {  # of N(0, 1) and N(m, 1), by m
    "wasserstein2": lambda m: m**2 / (1 + m**2 / 4),
    "wasserstein2-gaussian": lambda m: m**2 / (1 + m**2 / 4),
    "total-variation": lambda m: overlap(m),
    "kl": lambda m: m**2 / 2,
    "hellinger": lambda m: 1 - math.exp(-(m**2) / 8),
}


def coverage(count: int, shift: float, sets: int, seed: int) -> list[dict[str, Any]]:
    """How often the intervals of one feature contain the truth, and how often they lie below it."""
    hit, below = dict.fromkeys(TRUTHS, 0), dict.fromkeys(TRUTHS, 0)
    for number in range(sets):
        rng = np.random.default_rng([seed, 2, count, round(100 * shift), number])
        benign, again, attacked = (matches(rng, count, STEPS, 1, CORRELATION) for _ in range(3))
        moved = attacked._replace(rows=attacked.rows + np.float32(shift))
        for one in compare_states(benign, again, moved, ["x"], seed=number, measures=tuple(TRUTHS), resamples=199):
            truth = TRUTHS[one.measure](shift)
            hit[one.measure] += one.low <= truth <= one.high
            below[one.measure] += one.high < truth
    return [
        {"measure": name, "matches": count, "shift": shift, "sets": sets, "contains": hit[name] / sets}
        | {"below": below[name] / sets}
        for name in TRUTHS
    ]


def figure(rows: list[dict[str, Any]]) -> str:
    """Errors relative to the truth, of values and of corrected ones, by estimator: an SVG."""
    from sparring.report import plots

    def draw(drawn: Figure) -> None:
        panels = drawn.subplots(1, len(SIZES), sharey=True)
        for axes, n in zip(panels, SIZES, strict=True):
            for shade, d in enumerate(DIMENSIONS):
                here = [row for row in rows if (row["n"], row["features"]) == (n, d)]
                place = [list(ESTIMATORS).index(row["estimator"]) + 0.25 * (shade - 1) for row in here]
                colour = plots.MANY[shade]
                plain = [row["value"] / row["truth"] for row in here]
                less = [row["corrected"] / row["truth"] for row in here]
                axes.plot(plain, place, ls="", marker="x", ms=6, color=colour)
                axes.plot(less, place, ls="", marker="o", ms=6, color=colour, label=f"D = {d}")
            axes.axvline(1.0, color=plots.INK, lw=0.8)
            axes.set_xscale("symlog", linthresh=2.0)
            axes.set_xlim(-0.2, 100)
            axes.set_xticks([0, 1, 2, 10, 100], ["0", "1", "2", "10", "100"])
            axes.set_xlabel(f"estimate / truth, n = {n:,}")
            axes.set_yticks(range(len(ESTIMATORS)), list(ESTIMATORS))
        panels[0].invert_yaxis()
        panels[-1].legend(loc="lower right")

    caption = "normal distributions; crosses: the value, dots: the value minus the floor"
    return plots.svg("estimators", "Distances against their closed forms", caption, 900, 520, draw)


def table(rows: list[dict[str, Any]], nulls: list[dict[str, Any]], intervals: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| estimator | D | n | truth | value | spread | floor | corrected | its error, stated | of corrected, stated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = [row[key] for key in ("truth", "value", "spread", "floor", "corrected")]
        shown = " | ".join("-" if figure is None else f"{figure:.4f}" for figure in figures)
        errors = " | ".join(
            f"{row['largest_error' + of]:.4f}, {row['stated_error' + of]:g}" for of in ("", "_corrected")
        )
        lines.append(f"| {row['estimator']} | {row['features']} | {row['n']:,} | {shown} | {errors} |")
    lines += ["", "| measure | audits without an attack | above the floor | p <= .05 |", "|---|---|---|---|"]
    for null in nulls:
        lines.append(
            f"| {null['measure']} | {null['audits']} | {null['above_floor']:.1%} | {null['p_at_most_.05']:.1%} |"
        )
    lines += ["", "| measure | matches | " + " | ".join(f"means differ by {m:g}" for m in SHIFTS) + " |"]
    lines.append("|---|" + "---|" * (1 + len(SHIFTS)))
    for name in TRUTHS:
        for count in COUNTS:
            own = [row["contains"] for row in intervals if (row["measure"], row["matches"]) == (name, count)]
            lines.append(f"| {name} | {count} | " + " | ".join(f"{share:.0%}" for share in own) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/shift-estimators"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    settings = {"seed": SEED, "repeats": REPEATS, "repeats_of_slow_ones": SLOW, "matches": MATCHES, "null": NULL}
    rows = []
    for name in ESTIMATORS:
        for n in SIZES:
            for features in DIMENSIONS:
                repeats = SLOW.get(name, REPEATS[n]) if n > SIZES[0] else REPEATS[n]
                rows.append(accuracy(name, features, n, repeats, SEED))
                print(name, features, n, f"within {rows[-1]['within']:.2f}, {rows[-1]['seconds']:.2f} s", flush=True)
    write_atomic(out / "shift-estimators.svg", figure(rows).encode())
    nulls = []
    for measure, kind in MEASURES.items():
        slow = kind.costly or measure == "wasserstein2-sliced"
        nulls.append(null_rate(measure, NULL_COSTLY if slow else NULL_AUDITS, SEED))
        print(nulls[-1], flush=True)
        # After each, so that a run that is stopped leaves what it has.
        write_json(out / "shift-estimators.json", {"settings": settings, "accuracy": rows, "null": nulls})
    intervals = []
    for count in COUNTS:
        for shift in SHIFTS:
            intervals += coverage(count, shift, SETS, SEED)
            print(intervals[-len(TRUTHS) :], flush=True)
    whole = {"settings": settings, "accuracy": rows, "null": nulls, "intervals": intervals}
    write_json(out / "shift-estimators.json", whole)
    print(table(rows, nulls, intervals))


if __name__ == "__main__":
    main()
