"""The command line: a thin layer over the functions of `sparring.commands`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparring.console import BAD_INPUT, DONE, INTERRUPTED, exit_code
from sparring.errors import InputError

VERBS = ("audit", "attack", "defend", "evaluate", "certify", "study")
FINDING = 1  # the other exit codes are those of every program, in `sparring.console`

HELP = """\
usage: sparring COMMAND [ARGUMENTS]

How badly can another agent make your trained agent fail, and how visible would the attack be?

commands:
  audit GAME [--victim POLICY]       attacks at several budgets, their damage and visibility; one report
  attack GAME --victim POLICY        one adversarial policy under a budget, computed or trained
  defend GAME --method M             harden a victim by adversarial training (exact games)
  evaluate GAME --victim P --attacker P
                                     win, draw and loss of an attacker, exact or with intervals
  certify GAME --victim POLICY       exploitability, the most robust victim and its certificate (exact games)
  study NAME                         make a figure and its table again
  list                               games, policies, studies, and how strong the shipped agents are
  report DIR                         make an audit's report again
  resume DIR                         go on with an interrupted run

start here:
  sparring audit robosumo/ant-vs-ant            audits the ant that comes with the package
  sparring audit openspiel/kuhn_poker --victim uniform
                                                solves a game that can be enumerated
  sparring COMMAND --help                       explains every argument
  sparring COMMAND ... --dry-run                shows what would be done, and how long it would take

exit codes: 0 done, 1 a finding above --fail-above, 2 bad input, 3 internal error, 130 interrupted (can be resumed)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # As `python -m` does: a user's package.module:factory lies in the folder in which the command is given.
    sys.path.insert(0, os.getcwd())
    return exit_code("sparring", lambda: _main(words))


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return DONE if words else BAD_INPUT
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("sparring"))
        return DONE
    verb, rest = words[0], words[1:]
    if verb == "list":
        return _list(rest)
    if verb in ("report", "resume"):
        return (_report if verb == "report" else _resume)(rest)
    if verb not in VERBS:
        from sparring.errors import unknown

        raise unknown("command", verb, (*VERBS, "list", "report", "resume"))
    settings = _parse(verb, rest)
    return _perform(verb, settings, ["sparring", *words], None)


def _parse(verb: str, words: list[str]) -> Any:
    import tyro

    from sparring.commands.common import from_config, verb_module

    defaults, source = {}, _value_of(words, "--config")
    if source is not None:
        saved_verb, saved = from_config(source)
        if saved_verb != verb:
            raise InputError(f"config {source}: it is of sparring {saved_verb}, not of sparring {verb}")
        defaults = {"default": saved}
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(verb_module(verb).Settings, prog=f"sparring {verb}", args=words, **defaults)
    except SystemExit as stop:
        if not stop.code:
            raise  # --help
        # Tyro puts what is wrong into a box with a title.
        said = " ".join(re.sub(r"^╭.*╮|[╰╯│─]+", " ", complaint.getvalue()).split())
        raise InputError(said or f"{verb}: the arguments cannot be read") from None


def _perform(verb: str, settings: Any, command: list[str], resume: Path | None) -> int:
    from sparring.commands.common import Interrupted, perform, verb_module

    module = verb_module(verb)
    try:
        result = perform(verb, settings, command, resume)
    except Interrupted as stopped:
        print(f"sparring: interrupted; go on with: sparring resume {stopped.folder}", file=sys.stderr)
        return INTERRUPTED
    if settings.json:
        from sparring.files import plain

        print(json.dumps(plain(result)))
    elif settings.dry_run:
        print(_plan(result))
    else:
        print(module.text(result))
    finding = getattr(module, "finding", None)
    return FINDING if not settings.dry_run and finding is not None and finding(settings, result) else DONE


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


def _resume(words: list[str]) -> int:
    from dataclasses import replace

    from sparring.commands.common import from_config
    from sparring.runs import read_config

    folder = _one_folder("resume", words)
    verb, settings = from_config(folder)
    command = shlex.split(read_config(folder)["command"])
    return _perform(verb, replace(settings, json="--json" in words), command, folder)


def _report(words: list[str]) -> int:
    from sparring.report.html import rewrite_report

    print(rewrite_report(_one_folder("report", words)).resolve())
    return DONE


def _list(words: list[str]) -> int:
    from sparring.commands.listing import listing, text

    if unexpected := [word for word in words if word != "--json"]:
        raise InputError(f"list: unexpected {unexpected[0]!r}; usage: sparring list [--json]")
    found = listing()
    print(json.dumps(found) if "--json" in words else text(found))
    return DONE


def _one_folder(verb: str, words: list[str]) -> Path:
    folders = [word for word in words if word != "--json"]
    if folders and folders[0] in ("-h", "--help"):
        print(f"usage: sparring {verb} DIR\n\nDIR: a run folder, as printed by audit, attack and evaluate.")
        raise SystemExit(DONE)
    if len(folders) != 1:
        raise InputError(f"{verb}: expected one run folder, got {len(folders)}; usage: sparring {verb} DIR")
    return Path(folders[0])


def _value_of(words: list[str], option: str) -> str | None:
    for i, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and i + 1 < len(words):
            return words[i + 1]
    return None
