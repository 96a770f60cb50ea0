"""Which features matter: Tables 1 to 3 in RoboSumo, without contact forces, as the paper probably had it, and with.

The ten features that vary the most, by their numbers in both robots' observations, the victim's first (DECISIONS 20):
against the benign opponent, against the attack of budget .3 ("Local" in the paper, which does not print its budget)
and against that of budget 1 ("Global"). Beside the paper's columns stands how many features both lists share, and how
many chance would give. Then what a classifier needs to tell attacked matches from benign ones, by permutation, and how
far each kind of feature moves. Victims and attackers are those of `sumo_stealth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.report.plots import MANY, svg
from sparring.studies import stealth_tables as tables
from sparring.studies.stealth import Cell, Row, Settings, cells, check, named, trained
from sparring.studies.stealth_matches import TOP, Matches
from sparring.studies.sumo_stealth import sumo, worlds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PRESETS", "Settings", "cells", "check", "figure", "run", "summary"]

FORCES = {"off": ",contact_forces=off", "on": ""}
WORLDS = tuple(world for options in FORCES.values() for world in worlds(options))
SMOKE = tuple(sumo("ant", "builtin:ant-early", "builtin:ant", options) for options in FORCES.values())
LOCAL, GLOBAL = 0.3, 1.0
COLUMNS = {"Original": "benign", "Local": f"budget {LOCAL:g}", "Global": f"budget {GLOBAL:g}"}
PRESETS = {
    "smoke": Settings(SMOKE, 1, 8_192, 20, (LOCAL, GLOBAL)),
    "standard": Settings(WORLDS, 1, 500_000, 400, (LOCAL, GLOBAL)),
    "paper": Settings(WORLDS, 5, 20_000_000, 1000, (LOCAL, GLOBAL)),
}
# Tables 1 to 3 of the paper, by column.
PAPER = {
    "spider": {
        "Original": (38, 32, 33, 43, 41, 29, 35, 39, 42, 26),
        "Local": (32, 43, 38, 37, 31, 35, 42, 41, 40, 28),
        "Global": (31, 39, 29, 43, 41, 34, 42, 35, 37, 44),
    },
    "ant": {
        "Original": (25, 145, 146, 26, 24, 142, 144, 22, 143, 23),
        "Local": (25, 26, 24, 145, 22, 146, 23, 143, 27, 142),
        "Global": (23, 146, 145, 25, 22, 21, 24, 144, 142, 143),
    },
    "bug": {
        "Original": (193, 197, 25, 35, 27, 29, 191, 199, 190, 36),
        "Local": (27, 35, 25, 197, 193, 189, 199, 34, 191, 36),
        "Global": (33, 25, 29, 27, 35, 31, 36, 34, 28, 26),
    },
}


def run(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """Train the attackers of one seed; rows of features, and of groups of them."""
    attacks = trained(cell, folder)
    world = cell.world
    table = Matches(world.game, world.victim, world.benign, cell.matches, cell.seed, folder)
    rows: list[dict[str, Any]] = [
        {"kind": "variable", "attack": "benign", **row} for row in table.variable(table.first)
    ]
    for attack in attacks:
        outcomes = table.played(attack.name, attack.source, attack.budget)
        rows += [{"kind": "variable", "attack": attack.name, **row} for row in table.variable(outcomes)]
        rows += [{"attack": attack.name, **row} for row in table.groups(outcomes)]
    return named(cell, rows)


def indices(rows: Sequence[Row], attack: str, seed: int) -> list[int]:
    """The most variable features of one sample, the first first."""
    found = [row for row in rows if row["kind"] == "variable" and (row["attack"], row["seed"]) == (attack, seed)]
    return [row["index"] for row in sorted(found, key=lambda row: row["rank"])]


def figure(rows: Sequence[Row]) -> str:
    """How far each kind of feature moves, by budget; a panel for each world."""
    found = tables.worlds(rows)

    def draw(figure: Figure) -> None:
        across = min(3, len(found))
        grid = figure.subplots(-(-len(found) // across), across, squeeze=False)
        for axes in grid.flat[len(found) :]:
            axes.axis("off")
        for axes, (world, own) in zip(grid.flat, found.items(), strict=False):
            moved = [row for row in own if row["kind"] == "group" and row["shift"] is not None]
            kinds = list(dict.fromkeys(row["group"] for row in moved))
            for k, attack in enumerate(dict.fromkeys(row["attack"] for row in moved)):
                own_ = {
                    kind: [row["shift"] for row in moved if row["attack"] == attack and row["group"] == kind]
                    for kind in kinds
                }
                heights = [float(np.mean(values)) for values in own_.values()]
                axes.bar([i + 0.35 * k for i in range(len(kinds))], heights, 0.33, color=MANY[1 + k], label=attack)
            axes.set_xticks([i + 0.17 for i in range(len(kinds))], kinds, rotation=60, fontsize=8)
            axes.set_xlabel(world.removeprefix("robosumo/"), weight="bold", fontsize=10)
            axes.set_ylabel("squared W2")

    title, caption = (
        "How far each kind of feature moves",
        "squared Wasserstein-2 without its bias, a mean over features",
    )
    return svg("feature-importance", title, caption, 1150, 380 * -(-len(found) // 3), draw)


def summary(rows: Sequence[Row]) -> str:
    """Tables 1 to 3 beside the paper's, and what a classifier needs."""
    lines = []
    for world, own in tables.worlds(rows).items():
        lines += ["", f"## {world}", "", *_columns(own, world), "", *_needed(own)]
    return "\n".join(lines[1:])


def _columns(rows: Sequence[Row], world: str) -> list[str]:
    from sparring.metrics.features import overlap

    seeds = sorted({row["seed"] for row in rows})
    size = next(row["features"] for row in rows if row["kind"] == "group")
    paper = PAPER[world.removeprefix("robosumo/").partition("-")[0]]
    lines = [
        f"The {TOP} most variable of {size} features with the first training seed, and how many of them are in the",
        "paper's column, too, with each seed.",
        "",
        "| column | ours | the paper's | shared | by chance | p |",
        "|---|---|---|---|---|---|",
    ]
    for column, attack in COLUMNS.items():
        each = [overlap(indices(rows, attack, seed), paper[column], size) for seed in seeds]
        ours, theirs = (" ".join(map(str, some)) for some in (indices(rows, attack, seeds[0]), paper[column]))
        shared = ", ".join(f"{one.shared} of {TOP}" for one in each)
        chance = f"{each[0].expected:.2g} ({each[0].low} to {each[0].high})"
        lines.append(f"| {column} | {ours} | {theirs} | {shared} | {chance} | {_listed([one.p for one in each])} |")
    names = {row["index"]: row["feature"] for row in rows if row["kind"] == "variable"}
    first = indices(rows, COLUMNS["Global"], seeds[0])
    return [*lines, "", "Global, by name: " + ", ".join(f"{i} {names[i]}" for i in first) + "."]


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2g}" for value in values)


def _needed(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| attack | AUC falls most without | kind of feature: squared W2 without its bias |",
        "|---|---|---|",
    ]
    for attack in dict.fromkeys(row["attack"] for row in rows if row["kind"] == "group"):
        falls = [row for row in rows if row["kind"] == "importance" and (row["attack"], row["seed"]) == (attack, 0)]
        best = ", ".join(f"{row['feature']} ({row['fall']:.3f})" for row in falls[:5])
        moved = [row for row in rows if row["kind"] == "group" and row["attack"] == attack]
        kinds = {row["group"]: [r["shift"] for r in moved if r["group"] == row["group"]] for row in moved}
        told = ", ".join(f"{kind} {tables.mean([tables.known(v) for v in values])}" for kind, values in kinds.items())
        lines.append(f"| {attack} | {best} | {told} |")
    return lines
