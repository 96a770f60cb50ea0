"""The command line: a thin layer over the functions of `sparring.commands`."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from sparring.console import BAD_INPUT, DONE, FINDING, INTERRUPTED, exit_code, say
from sparring.errors import InputError, unknown
from sparring.files import plain

# Every command with its arguments and what it does. A command is the module of its name in `sparring.commands`, with
# `Settings` (what can be given, as a frozen dataclass) and `text(result)`. `commands.common.perform` carries out those
# that work in a run folder; any other has `answer(settings) -> result`. A command whose result can be a finding has
# `finding(settings, result)`, or `exit_code(settings, result)` where one may be unable to tell.
COMMANDS = {
    "audit": ("GAME [--victim POLICY]", "attacks at several budgets, their damage and visibility; one report"),
    "attack": ("GAME --victim POLICY", "one adversarial policy under a budget, computed or trained"),
    "defend": ("GAME --method M", "harden a victim by adversarial training"),
    "evaluate": (
        "GAME --victim P ... --attacker P ...",
        "win, draw and loss, exact or with intervals; of several, each against each",
    ),
    "certify": (
        "GAME --victim POLICY",
        "what no attacker can do; in exact games exploitability and the most robust victim",
    ),
    "stealth": ("GAME --victim P --attacker P ...", "how visible attacks are: distances, detectors, the trade-off"),
    "compare": ("BEFORE AFTER", "two audits side by side: the damage of each, and its change"),
    "budgets": ("AUDIT AUDIT ...", "victims hardened at several budgets: at which budget to train"),
    "detect": ("DETECTOR < LINES", "alarms while an agent plays, from its observations, one JSON object a line"),
    "study": ("NAME", "make a figure and its table again"),
    "list": ("", "games, policies, studies, and how strong the shipped agents are"),
    "report": ("DIR", "make the report of an audit or a hardening again"),
    "render": ("DIR", "make a film of a run's attack, at several budgets side by side"),
    "resume": ("DIR", "go on with an interrupted run"),
    "verify": ("DIR", "check that a run's files are as the run left them"),
}


def _help() -> str:
    lines = []
    for name, (arguments, what) in COMMANDS.items():
        call = f"  {name} {arguments}".rstrip()
        lines += [f"{call:37}{what}"] if len(call) < 36 else [call, f"{'':37}{what}"]
    return HELP.replace("{commands}", "\n".join(lines))


HELP = """\
usage: sparring COMMAND [ARGUMENTS]

How badly can another agent make your trained agent fail, and how visible would the attack be?

commands:
{commands}

start here:
  sparring audit robosumo/ant-vs-ant            audits the ant that comes with the package
  sparring audit openspiel/kuhn_poker --victim uniform
                                                solves a game that can be enumerated
  sparring COMMAND --help                       explains every argument
  sparring COMMAND ... --dry-run                shows what would be done, and how long it would take

exit codes: 0 done, 1 a finding (above --fail-above, or files that were changed), 2 bad input, 3 internal error,
4 it cannot be told (whether there is a finding; of certify: what it found is not verified),
130 interrupted (can be resumed)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # As `python -m` does: a user's package.module:factory lies in the folder in which the command is given.
    sys.path.insert(0, os.getcwd())
    return exit_code("sparring", lambda: _main(words), apart="--json" in words)


def program() -> NoReturn:
    """The command as a program of its own."""
    code = main()
    if code == INTERRUPTED:
        # Threads of XLA may still be at work on what nobody waits for any more, and would fail when Python ends.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        say(_help().rstrip())
        return DONE if words else BAD_INPUT
    if words[0] == "--version":
        from importlib.metadata import version

        say(version("sparring"))
        return DONE
    verb, rest = words[0], words[1:]
    if verb not in COMMANDS:
        raise unknown("command", verb, COMMANDS)
    settings = _parse(verb, rest)
    if settings is None:
        return DONE
    if verb == "resume":
        return _resume(settings)
    module = verb_module(verb)
    if hasattr(module, "answer"):
        return _show(module, settings, module.answer(settings))
    return _perform(verb, settings, ["sparring", *words], None)


def verb_module(verb: str) -> Any:
    return importlib.import_module(f"sparring.commands.{verb}")


def _parse(verb: str, words: list[str]) -> Any:
    """The command's settings; None where the words ask for help, which is then printed."""
    import tyro

    module = verb_module(verb)
    _refuse_empty(words, module.Settings)
    source = None if hasattr(module, "answer") else _value_of(words, "--config")
    defaults = {}
    if source is not None:
        from sparring.commands.common import settings_of

        defaults = {"default": settings_of(verb, source)}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(module.Settings, prog=f"sparring {verb}", args=words, registry=_registry(), **defaults)
    except SystemExit as stop:
        if not stop.code:
            return None
        raise InputError(_complaint(printed.getvalue()) or f"{verb}: the arguments cannot be read") from None


def _refuse_empty(words: list[str], kind: type) -> None:
    """Refuse an option of several values that is given without one: it would silently mean the default.

    Raises:
      InputError: such an option.
    """
    several = {
        f"--{name.replace('_', '-')}"
        for name, hint in get_type_hints(kind).items()
        if any(get_origin(one) is tuple for one in (hint, *get_args(hint)))
    }
    for i, word in enumerate(words):
        if word in several and (i + 1 == len(words) or words[i + 1].startswith("--")):
            raise InputError(f"{word[2:]}: expected at least one value, got none; leave it out for what is usual")


def _registry() -> Any:
    """How tyro reads an option that is one of several words or unset: it is offered the words, in their order.

    Tyro by itself offers `None`, too, and names the choices in a random order where none fits.
    """
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def optional_choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
        if len(kinds) != 1 or len(get_args(info.type)) != 2 or get_origin(kinds[0]) is not Literal:
            return None
        words = get_args(kinds[0])
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=f"{{{','.join(words)}}}",
            instance_from_str=lambda given: given[0],
            is_instance=lambda value: value is None or value in words,
            str_from_instance=lambda value: [str(value)],
            choices=words,
        )

    return registry


def _complaint(printed: str) -> str:
    """What tyro says is wrong with the arguments, in one line.

    Tyro only prints it, in a box: a title on its upper edge, and rules between the parts of the message. Where the
    output is not UTF-8, the title is a line of its own above a rule of hyphens, and the sides are blank.
    """
    lines = printed.splitlines()
    if len(lines) > 1 and (lines[0].startswith("╭") or not lines[1].strip(" -")):
        del lines[0]  # the title says no more than the message
    parts: list[list[str]] = [[]]
    for line in lines:
        inner = line.strip("╰╯│ ")
        if inner.strip("─-"):
            parts[-1].append(inner)
        else:
            parts.append([])
    said = "; ".join(" ".join(part) for part in parts if part)
    # Of an option that may be left out tyro also says that what was given is not `None`.
    said = re.sub(
        r"no type matching {None}\|{?([^}|]+?)}? could be instantiated from \[(.*?)\]\.; Got errors: .*?; Argument",
        r"expected \1, got \2; Argument",
        said,
    )
    if re.search(r"Could not find valid parse for arguments: \['[^']+,[^']*'\]", said):
        said += "; several values are separated by spaces, as in --budgets 0.3 0.7"
    if said.startswith("Missing from") and " GAME " in said:
        said += "; the game comes first: an option that takes several values would take it, too"
    return re.sub(r"\[/?bold\]", "", said)


def _perform(verb: str, settings: Any, command: list[str], resume: Path | None) -> int:
    from sparring.commands.common import Interrupted, perform

    try:
        result = perform(verb, settings, command, resume)
    except Interrupted as stopped:
        return _interrupted(stopped.folder)
    if settings.dry_run:
        say(json.dumps(plain(result)) if settings.json else _plan(result))
        return DONE
    return _show(verb_module(verb), settings, result)


def _interrupted(folder: Path) -> int:
    say(f"sparring: interrupted; go on with: sparring resume {folder}", sys.stderr)
    return INTERRUPTED


def _show(module: Any, settings: Any, result: Mapping[str, Any]) -> int:
    say(json.dumps(plain(result)) if settings.json else module.text(result))
    if hasattr(module, "exit_code"):
        return module.exit_code(settings, result)
    finding = getattr(module, "finding", None)
    return FINDING if finding is not None and finding(settings, result) else DONE


def _plan(result: Mapping[str, Any]) -> str:
    """What would be done, one thing a line; of the settings those that are set."""
    lines = []
    for name, value in result.items():
        if isinstance(value, Mapping):
            given = {key: inner for key, inner in value.items() if inner is not None and inner != ()}
            lines += [f"{name}:", *(f"  {key}: {inner}" for key, inner in given.items())]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _resume(asked: Any) -> int:
    folder = Path(asked.folder)
    try:
        from sparring.commands.common import from_config
        from sparring.runs import read_config

        verb, settings = from_config(folder)
        command = shlex.split(read_config(folder)["command"])
        return _perform(verb, replace(settings, json=asked.json), command, folder)
    except KeyboardInterrupt:
        return _interrupted(folder)


def _value_of(words: list[str], option: str) -> str | None:
    for i, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and i + 1 < len(words):
            return words[i + 1]
    return None
