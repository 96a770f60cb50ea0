"""`sparring list`: what there is, and how strong the shipped agents were measured to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EXACT = ("matrix/", "markov/", "openspiel/")  # families of games that can be enumerated


@dataclass(frozen=True)
class Settings:
    """Show the games, the policies and the studies that there are, and how strong the shipped agents are.

    Example: sparring list
    """

    json: bool = False
    """Print one JSON object on standard output and nothing else there."""


def answer(settings: Settings) -> dict[str, Any]:
    """Games, policies, studies, and the shipped policies with their measured rates, as plain JSON."""
    del settings
    from sparring import checkpoint
    from sparring.commands.study import names as studies
    from sparring.games import names as games
    from sparring.loaders import PLAIN, builtin, formats

    shipped = {}
    for name in builtin.names():
        made = checkpoint.load(builtin.path(name))[1]["provenance"]
        shipped[f"builtin:{name}"] = {key: made[key] for key in ("game", "steps", "measured")}
        shipped[f"builtin:{name}"]["start"] = (
            made["settings"].get("start") or None
        )  # whose weights the steps went on from
    return {
        "games": list(games()),
        "exact": [name for name in games() if name.startswith(EXACT)],
        "plain": list(PLAIN),
        "formats": list(formats()),
        "studies": list(studies()),
        "builtin": shipped,
    }


def text(found: dict[str, Any]) -> str:
    lines = ["games (options follow after commas, as in robosumo/ant-vs-ant,integrator=euler)"]
    lines += [f"  {name}{' (exact)' if name in found['exact'] else ''}" for name in found["games"]]
    lines += ["  matrix/FILE, markov/FILE.npz (exact), package.module:factory"]
    lines += ["", "policies", f"  plain: {', '.join(found['plain'])}"]
    lines += [
        f"  formats: {', '.join(f'{name}:...' for name in found['formats'])}, package.module:factory",
        "",
        "studies",
        *(f"  {name}" for name in found["studies"]),
        "",
        "shipped",
    ]
    for name, made in found["builtin"].items():
        start = f", from {made['start']}" if made["start"] else ""
        lines.append(f"  {name}: {made['steps']:,} steps in {made['game']}{start}")
        for opponent, rates in made["measured"].items():
            rate = f"{rates['win']:.0%} [{rates['win_ci'][0]:.0%}, {rates['win_ci'][1]:.0%}]"
            lines.append(f"    wins {rate} against {opponent}, draws {rates['draw']:.0%}")
    return "\n".join(lines)
