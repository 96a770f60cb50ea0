"""How a verb is carried out: its settings checked, its run folder made, and what people and programs are told."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from sparring.console import Stopped
from sparring.errors import InputError, unknown
from sparring.jobs import one_thread
from sparring.oracles.options import Common, Seats
from sparring.oracles.seating import Question, describe
from sparring.runs import Run, check_seed, read_config, versions

if TYPE_CHECKING:
    from types import ModuleType

    from sparring.records import Rates

__all__ = ["Common", "Interrupted", "Seats", "accepted", "as_config", "perform", "verb_module"]

T = TypeVar("T")
# What decides nothing about a result: where it is written, and how it is computed and shown.
_HOW = ("out", "config", "dry_run", "json", "jobs", "threads", "summary")


class Interrupted(Exception):
    """The user stopped a run; it is saved in `folder` and can be resumed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


def verb_module(verb: str) -> ModuleType:
    return importlib.import_module(f"sparring.commands.{verb}")


def perform(verb: str, settings: Any, command: Sequence[str] = (), resume: Path | None = None) -> dict[str, Any]:
    """Carry out a verb in a new run folder, or go on in an existing one.

    Raises:
      InputError: bad input; nothing was started, or what was there before is intact.
    """
    check_seed(settings.seed)
    module = verb_module(verb)
    if command and hasattr(module, "job"):
        one_thread()  # of a program of its own; a Python caller's process is left as it is
    prepared = module.prepare(settings)  # before there is a run folder: bad input leaves nothing behind
    if settings.dry_run:
        return {"verb": verb, "settings": as_config(settings), **module.plan(settings, prepared)}
    if resume is not None:
        run = Run.open(resume)
    else:
        out = None if settings.out is None else Path(settings.out)
        subject = settings.name if verb == "study" else describe(settings.game)
        run = Run.create(out, subject, verb, settings.seed, as_config(settings), command)
    try:
        with run:
            result = module.execute(settings, prepared, run)
            run.finish()
    except (Stopped, KeyboardInterrupt) as stopped:
        raise Interrupted(run.folder) from stopped
    return {**result, "run": str(run.folder)}


def accepted(kind: type[T], **values: Any) -> T:
    """A verb's settings from what a Python caller gives: what is meant is taken, anything else is refused.

    NumPy's numbers and arrays, one value where several may be given, and numbers where names of agents are expected are
    meant as what they look like.

    Raises:
      InputError: an option that the verb does not have, or a value of another kind.
    """
    hints = get_type_hints(kind)
    if strange := [name for name in values if name not in hints]:
        raise unknown(f"setting of {kind.__module__.rpartition('.')[2]}", strange[0], hints)
    settings = kind(**{name: _as_meant(name, value, hints[name]) for name, value in values.items()})
    return settings


def as_config(settings: Any) -> dict[str, Any]:
    """The settings as plain JSON; a policy or game given as a Python object is named by its type."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {
        k: v if isinstance(v, (str, int, float, bool, type(None), tuple)) else describe(v) for k, v in values.items()
    }


def deciding(settings: Any) -> dict[str, Any]:
    """The settings that decide a result, as plain JSON."""
    return {name: value for name, value in as_config(settings).items() if name not in _HOW}


def from_config(source: str | Path) -> tuple[str, Any]:
    """The verb and settings of a run, from its folder or its config.json.

    Raises:
      InputError: no such run, settings that this version does not know, or that were Python objects.
    """
    path = Path(source)
    config = read_config(path.parent if path.name == "config.json" else path)
    if not (isinstance(config.get("verb"), str) and isinstance(config.get("settings"), dict)):
        raise InputError(f"{source}: config.json is damaged: expected a verb and its settings; start a new run")
    verb, values = config["verb"], config["settings"]
    for name, value in values.items():
        if isinstance(value, str) and value.startswith("<") and value.endswith(">"):
            raise InputError(
                f"{source}: {name} was a Python object, {value}, which no file holds; run your program again"
            )
    try:
        cls = verb_module(verb).Settings
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return verb, replace(cls(**values), config=None, dry_run=False)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(f"{source}: the settings are not those of this version: {error}") from None


def who(settings: Any, question: Question, run: Run) -> dict[str, Any]:
    """The fields of `records.Who`, but for `oracle` and `wall_time_s`."""
    threat = question.threat
    return {
        "game": question.game,
        "agents": question.agents,
        "victim": question.names.victim,
        "victim_seat": question.seats(threat.victims)[0],
        "victims": question.seats(threat.victims),
        "attackers": question.seats(threat.attackers),
        "benign": question.names.benign,
        "others": question.names.others,
        "control": threat.control,
        "coin": threat.coin,
        "seed": settings.seed,
        "command": run.config["command"] or f"sparring.{run.config['verb']}(...) from Python",
        "versions": versions(),
        "settings": deciding(settings),
    }


def percent(rates: Rates, key: str) -> str:
    """A rate with its interval: `63.0% [59.1%, 66.8%]`."""
    low, high = getattr(rates, f"{key}_ci")
    return f"{getattr(rates, key):.1%} [{low:.1%}, {high:.1%}]"


def mean(rates: Rates) -> str:
    """The victim's mean return with its interval where there is one."""
    value, ends = rates.victim_return, rates.victim_return_ci
    if value is None:
        return "none: no match was valid"
    return f"{value:.4g}" + ("" if ends is None else f" [{ends[0]:.4g}, {ends[1]:.4g}]")


def spawned(seed: int, *key: int) -> int:
    """The seed of one part of a run: parts with different keys share nothing."""
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


def _as_meant(name: str, value: Any, hint: Any) -> Any:
    option, kinds = name.replace("_", "-"), _kinds(hint)
    if value is None and type(None) in kinds:
        return None
    several = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    if several is not None:
        values = (
            np.asarray(value).ravel().tolist() if _is_number_like(value) or isinstance(value, np.ndarray) else value
        )
        values = [values] if isinstance(values, str) or not isinstance(values, Sequence) else values
        return tuple(_as_meant(name, one, get_args(several)[0]) for one in values)
    for kind in kinds:
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                raise unknown(option, str(value), [str(known) for known in get_args(kind)])
            return value
    if bool in kinds:
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        raise InputError(f"{option}: expected True or False, got {value!r}")
    if int in kinds or float in kinds:
        return _number(option, value, int in kinds)
    if Any in kinds or not kinds:
        return value
    # A name on the command line: of an agent its seat is meant, too; a policy or game may be the thing itself.
    if name in ("victim_seat", "attackers"):
        if isinstance(value, (str, int, np.integer)) and not isinstance(value, bool):
            return str(value)
        raise InputError(f"{option}: expected seats or names of agents, got {value!r}")
    if name in ("game", "victim", "attacker", "benign", "others"):
        return value
    if isinstance(value, (str, Path)):
        return str(value)
    raise InputError(f"{option}: expected text, got {type(value).__name__}")


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type hint, without annotations."""
    origin = get_origin(hint)
    if origin is None or origin is Literal or origin is tuple:
        return (hint,)
    return tuple(kind for part in get_args(hint) for kind in _kinds(part))


def _is_number_like(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _number(option: str, value: Any, whole: bool) -> int | float:
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if not _is_number_like(value):
        raise InputError(f"{option}: expected a number, got {value!r}")
    if not whole:
        return float(value)
    if not math.isfinite(value) or value != int(value):
        raise InputError(f"{option}: expected a whole number, got {value}")
    return int(value)
