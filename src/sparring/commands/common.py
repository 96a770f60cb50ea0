"""How a verb is carried out: its settings checked, its run folder made, and what people and programs are told."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from sparring.commands.inputs import check_inputs, inputs_of
from sparring.console import Stopped, number
from sparring.errors import CannotWrite, InputError, unknown
from sparring.files import check_target, read_json
from sparring.jobs import one_thread
from sparring.oracles.options import Common, Seats, check_sizes
from sparring.oracles.seating import Question, describe
from sparring.runs import Run, check_seed, read_config, state_of, versions

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
      InputError: bad input; what was there before is intact, and a run that came to nothing leaves no folder.
    """
    check_seed(settings.seed)
    check_sizes(settings)
    out = None if settings.out is None else Path(settings.out)
    if (summary := getattr(settings, "summary", None)) is not None:
        check_target(Path(summary), "summary", out)
    module = verb_module(verb)
    if command and hasattr(module, "job"):
        one_thread()  # of a program of its own; a Python caller's process is left as it is
    prepared = module.prepare(settings)  # before there is a run folder: bad input leaves nothing behind
    if settings.dry_run:
        return {"verb": verb, "settings": as_config(settings), **module.plan(settings, prepared)}
    inputs = inputs_of(settings)
    if resume is not None:
        check_inputs(read_config(resume).get("inputs", {}), inputs)
        done = _is_done(resume)
        run = Run.open(resume)
        if done and (result := resume / f"{verb}.json").is_file():
            with run:
                run.finish()
            return _shown_again(resume, read_json(result))
    else:
        subject = settings.name if verb == "study" else describe(settings.game)
        run = Run.create(out, subject, verb, settings.seed, as_config(settings), command, inputs)
    try:
        with run:
            result = module.execute(settings, prepared, run)
            run.finish()
    except (Stopped, KeyboardInterrupt) as stopped:
        raise Interrupted(run.folder) from stopped
    except InputError as error:
        if resume is None:
            run.discard()
        if isinstance(error, CannotWrite) and run.folder.is_dir():
            raise InputError(f"{error}; sparring resume {run.folder} then goes on with what was done") from None
        raise
    return {**result, "run": str(run.folder)}


def _shown_again(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """What a finished run has found, from its file, which does not say where its report is."""
    if result.get("report", "") is None:
        result["report"] = str(folder / "report.html")
    return {**result, "run": str(folder)}


def _is_done(folder: Path) -> bool:
    return state_of(folder) == "done"


def accepted(kind: type[T], **values: Any) -> T:
    """A verb's settings from what a Python caller gives: what is meant is taken, anything else is refused.

    Numbers and one-dimensional arrays of NumPy and JAX, one value where several may be given, a list of one where one
    is expected, and numbers where names of agents are expected are meant as what they look like.

    Raises:
      InputError: an option that the verb does not have, one that it needs and that is not given, or a value of another
        kind.
    """
    hints, verb = get_type_hints(kind), kind.__module__.rpartition(".")[2]
    if strange := [name for name in values if name not in hints]:
        raise unknown(f"setting of {verb}", strange[0], hints)
    given = {name: _as_meant(name, value, hints[name]) for name, value in values.items()}
    if given.get("config") is not None:
        given = {**vars(settings_of(verb, given["config"])), **given}
    known: Any = kind
    needed = [f.name for f in fields(known) if f.default is MISSING and f.default_factory is MISSING]
    if lacking := [name for name in needed if name not in given]:
        raise InputError(f"{verb}: give {lacking[0]}=, which it cannot do without")
    return kind(**given)


def settings_of(verb: str, source: str | Path) -> Any:
    """The settings of an earlier run of the same verb.

    Raises:
      InputError: as `from_config`, or the run is one of another verb.
    """
    saved_verb, saved = from_config(source)
    if saved_verb != verb:
        raise InputError(f"config {source}: it is of sparring {saved_verb}, not of sparring {verb}")
    return replace(saved, out=None)  # where that run lies nothing else can be written


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
    config = read_json(path) if path.is_file() else read_config(path)  # a copy may have any name
    if not (isinstance(config.get("verb"), str) and isinstance(config.get("settings"), dict)):
        raise InputError(
            f"{source}: config.json is damaged, or it is none: expected a verb and its settings; give the config.json "
            "of a run, or the run's folder, or start a new run"
        )
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
    return f"{number(getattr(rates, key), '.1%')} [{number(low, '.1%')}, {number(high, '.1%')}]"


def mean(rates: Rates) -> str:
    """The victim's mean return with its interval where there is one."""
    value, ends = rates.victim_return, rates.victim_return_ci
    if value is None:
        return "none: no match was valid"
    text = number(value, ".4g")
    return text if ends is None else f"{text} [{number(ends[0], '.4g')}, {number(ends[1], '.4g')}]"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table for people: a line for `head` and for each row, in columns two blanks apart."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return [line.rstrip() for line in lines]


def spawned(seed: int, *key: int) -> int:
    """The seed of one part of a run: parts with different keys share nothing."""
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


def _as_meant(name: str, value: Any, hint: Any) -> Any:
    option, kinds = name.replace("_", "-"), _kinds(hint)
    if value is None and type(None) in kinds:
        return None
    if name in ("game", "victim", "attacker", "benign", "others"):
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        return value  # a name, or the thing itself
    several = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    if several is not None:
        value = _without_array(option, value)
        values: Sequence[Any] = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if nested := [one for one in values if isinstance(one, (list, tuple))]:
            raise InputError(f"{option}: expected one value or a list of them, got a list of {_shown(nested[0])}")
        if not values:
            raise InputError(f"{option}: expected at least one value, got none; leave it out for what is usual")
        return tuple(_as_meant(name, one, get_args(several)[0]) for one in values)
    for kind in kinds:
        if get_origin(kind) is Literal:
            if not isinstance(value, str) or value not in get_args(kind):
                raise unknown(option, value, get_args(kind))
            return value
    if bool in kinds:
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        raise InputError(f"{option}: expected True or False, got {_shown(value)}")
    if int in kinds or float in kinds:
        return _number(option, value, int in kinds)
    if name in ("victim_seat", "attackers"):
        if isinstance(value, (str, int, np.integer)) and not isinstance(value, bool):
            return str(value)
        raise InputError(f"{option}: expected seats or names of agents, got {_shown(value)}")
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


def _without_array(option: str, value: Any) -> Any:
    """An array of NumPy or JAX as a list, and a number of theirs as Python's; anything else as it is.

    Raises:
      InputError: an array of several dimensions: it is not clear what is meant.
    """
    if not (hasattr(value, "ndim") and hasattr(value, "tolist")):
        return value
    if value.ndim > 1:
        shape = list(value.shape)
        raise InputError(f"{option}: expected one value or a list of them, got an array of shape {shape}: flatten it")
    return value.tolist()


def _shown(value: Any) -> str:
    """A value for a message of one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _number(option: str, value: Any, whole: bool) -> int | float:
    value = _without_array(option, value)
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise InputError(f"{option}: expected one number, got {len(value)}: ask for one after the other")
        value = _without_array(option, value[0])
    if not _is_number_like(value):
        raise InputError(f"{option}: expected a number, got {_shown(value)}")
    if not whole:
        return float(value)
    if not math.isfinite(value) or value != int(value):
        raise InputError(f"{option}: expected a whole number, got {value}")
    return int(value)
