"""The files of the check of PPO: learning curves as CSV and SVG, and a page in words."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OURS, THEIRS = "sparring", "stable-baselines3"


def verdict(difference: Sequence[float]) -> str:
    """What the interval of a difference says, in words."""
    mean, low, high = difference
    values = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    if low <= 0 <= high:
        return f"no difference is seen ({values} holds 0)"
    return f"{OURS} is {'better' if low > 0 else 'WORSE'} ({values})"


def table(results: Mapping[str, Any]) -> str:
    """Learning curves as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "implementation", "seed", "steps", "training_return"])
    for task, result in results["tasks"].items():
        for name, runs in result["runs"].items():
            writer.writerows([task, name, run["seed"], *point] for run in runs for point in run["curve"])
    return text.getvalue()


def figure(results: Mapping[str, Any]) -> bytes:
    """Learning curves as SVG, a thin line per seed; the same bytes for the same results."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = {OURS: "#d55e00", THEIRS: "#0072b2"}
    with matplotlib.rc_context({"svg.hashsalt": "ppo-check", "svg.fonttype": "none"}):
        drawing = Figure(figsize=(9, 3.6), layout="constrained")
        panels = drawing.subplots(1, len(results["tasks"]), squeeze=False)[0]
        for panel, (task, result) in zip(panels, results["tasks"].items(), strict=True):
            for name, runs in result["runs"].items():
                for i, run in enumerate(runs):
                    steps, returns = zip(*run["curve"], strict=True)
                    label = name if i == 0 else None
                    panel.plot(steps, returns, color=colours[name], lw=1, alpha=0.7, label=label)
            panel.set(title=task, xlabel="steps", ylabel="return of training episodes")
            panel.legend(frameon=False)
        out = io.BytesIO()
        drawing.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def page(results: Mapping[str, Any]) -> str:
    """What was done and what is seen, as Markdown."""
    names = list(results["tasks"])
    settings = [result["settings"] for result in results["tasks"].values()]
    rows = [key for key in settings[0] if key != "task"]
    lines = [
        "# PPO against Stable-Baselines3's",
        "",
        f"Made by `{results['command']}` in {results['minutes']:.0f} minutes.",
        "",
        f"Both train with the same settings, on {results['seeds']} seeds; the environments and random numbers behind",
        f"a seed differ. The final return of a seed is the mean over {results['episodes']} fresh episodes of the",
        "stochastic policy, with the same starts for both; its return while training is the mean over the rounds of",
        "its learning curve, and tells who learns faster where both end alike. Intervals are 95%, over seeds:",
        "Student's for the mean of one implementation, Welch's for the difference of the two.",
        "",
        f"| task | return | {OURS} | {THEIRS} | difference |",
        "|---|---|---|---|---|",
    ]
    for task, result in results["tasks"].items():
        for label, key, difference in (
            ("final", "final_return", "difference"),
            ("while training", "training_return", "training_difference"),
        ):
            cells = [*(_interval(result[key][name]) for name in (OURS, THEIRS)), _interval(result[difference])]
            lines.append(f"| {task} | {label} | {' | '.join(cells)} |")
    lines.append("")
    for task, result in results["tasks"].items():
        seconds = [np.mean([run["seconds"] for run in result["runs"][name]]) for name in (OURS, THEIRS)]
        lines += [
            f"- {task}: of the final return, {verdict(result['difference'])}; of the return while training,",
            f"  {verdict(result['training_difference'])}. {seconds[0]:.0f} s per training against {seconds[1]:.0f} s.",
        ]
    lines += [
        "",
        "An interval that holds 0 does not show that the two are equal, only that so few seeds tell no difference;",
        "its width says how large a difference could have stayed unseen. The trainings ran one after the other on a",
        "machine that had other work too, so the times compare orders of magnitude and no more.",
        "",
        "500 is the most that CartPole gives, so its final return tells only that both solve it. Its learning rate was",
        "chosen for that, after 3e-4 had left both in the middle of learning, where three seeds tell nothing:",
        "397 [4, 790] against 415 [174, 656] at the end, 286 [280, 293] against 322 [280, 364] while training.",
        "",
        "The update itself is compared more sharply in `tests/learners/test_ppo_check.py`: from the same weights, on",
        "the same data, each of three updates moves the weights alike, to less than a thousandth of the way.",
        "",
        "![Learning curves](ppo-check.svg)",
        "",
        "## Settings",
        "",
        f"| | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {row} | {' | '.join(str(of_task[row]) for of_task in settings)} |" for row in rows),
        "",
        "Besides: Adam with epsilon 1e-5, advantages normalised per minibatch, no clipping of the value loss, no",
        "normalisation of observations or rewards, standard deviation 1 at the start and independent of the state.",
        "",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in results["versions"].items()) + ".",
        "",
        "Every figure is in `ppo-check.json`, the learning curves in `ppo-check.csv`.",
    ]
    return "\n".join(lines) + "\n"


def _interval(found: Sequence[float]) -> str:
    return f"{found[0]:.1f} [{found[1]:.1f}, {found[2]:.1f}]"
