"""What films of robots cost: CPU seconds for each second of match, without shadows, playing and encoding included.

draw    MuJoCo alone draws one match of two ants at 480 x 368, by its own `mujoco.Renderer`
panel   `report.film.film` of one match: 16 matches are played, one is drawn, captioned, and encoded
four    the same of four matches side by side, as an audit shows them; for each second of the film

A second of match has 20 control steps. All are warmed up (compiled) first and then take turns; the best turn counts,
since disturbance from outside only slows. `panel` is compared with `draw`, and both films with 2 s.
"""

# MuJoCo is a compiled module without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before MuJoCo is imported: it then decides what its renderer draws with
    os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco
import numpy as np

from sparring.files import write_json
from sparring.games import make
from sparring.games.robosumo.sumo import RoboSumo
from sparring.loaders import load
from sparring.mixture import mix
from sparring.report.film import PANEL, Casting, film

GAME = "robosumo/ant-vs-ant"
MATCHES = 16
STEPS = 20  # in a second
BUDGETS = (0.0, 0.3, 0.7, 1.0)
LIMIT = 2.0  # CPU seconds for each second of match
RATIO = 4.0  # of a film's panel to drawing alone

Turn = Callable[[], float]  # CPU seconds for each second of match


def drawing(frames: int) -> Turn:
    """MuJoCo alone, of the same scene by the same camera."""
    game = make(GAME, num_games=1, threads=1)
    assert isinstance(game, RoboSumo)
    game.reset(0)
    width, height = PANEL
    renderer = mujoco.Renderer(game.model, height, width)
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance = (0, 0, 0.4), 3 * game.settings.tatami_size
    camera.azimuth, camera.elevation = 90, -25
    data = game.batch.get_data(0)
    mujoco.mj_forward(game.model, data)

    def turn() -> float:
        begun = time.process_time()
        for _ in range(frames):
            renderer.update_scene(data, camera)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                renderer.scene.flags[flag] = False
            renderer.render()
        return (time.process_time() - begun) / frames * STEPS

    return turn


def films(budgets: Sequence[float]) -> Turn:
    """A film with a panel for each budget."""
    game = make(GAME, num_games=MATCHES)
    ant, attack = (load(name, game, "ant1") for name in ("builtin:ant", "builtin:ant-attack-1"))
    castings = [Casting(f"budget {budget:g}", {"ant0": ant, "ant1": mix(ant, attack, budget)}) for budget in budgets]

    def turn() -> float:
        begun = time.process_time()
        made = film(game, castings, ("ant1",), ("ant0",), np.random.SeedSequence(0), match=0)
        longest = max(len(panel.reel) for panel in made.panels)
        return (time.process_time() - begun) / longest * STEPS

    return turn


def measure(repeats: int, frames: int) -> dict[str, Any]:
    """CPU seconds for each second of match of every section, and whether the limits hold."""
    sections = {"draw": drawing(frames), "panel": films(BUDGETS[-1:]), "four": films(BUDGETS)}
    for turn in sections.values():
        turn()
    turns: dict[str, list[float]] = {name: [] for name in sections}
    for _ in range(repeats):
        for name, turn in sections.items():
            turns[name].append(turn())
    best = {name: min(seconds) for name, seconds in turns.items()}
    ratio = best["panel"] / best["draw"]
    met = ratio <= RATIO and max(best["panel"], best["four"]) <= LIMIT
    return {"turns": turns, "best": best, "ratio": ratio, "met": met}


def report(found: dict[str, Any]) -> str:
    lines = [f"{name}: {seconds:.2f} s of CPU for each second of match" for name, seconds in found["best"].items()]
    lines.append(f"limit of films: {LIMIT:g} s; panel / draw: {found['ratio']:.2f}, limit {RATIO:g}")
    return "\n".join(lines if found["met"] else [*lines, "MISSED"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="turns of each section")
    parser.add_argument("--frames", type=int, default=100, help="that MuJoCo alone draws in a turn")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    asked = parser.parse_args(arguments)
    found = measure(asked.repeats, asked.frames)
    print(report(found))
    if asked.json:
        write_json(asked.json, found)
    return int(not found["met"])


if __name__ == "__main__":
    sys.exit(main())
