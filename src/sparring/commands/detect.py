"""`sparring detect`: run a detector on the observations of a live agent."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

import tyro

from sparring.console import DONE, FINDING, INTERRUPTED, say
from sparring.detectors import action_of, flat, read
from sparring.errors import InputError
from sparring.metrics.online import Detector, Stream

MAX_LINE = 16 * 2**20  # bytes
_KEYS = {"observation", "action", "first", "match"}
_REMEMBERED = 10_000  # matches whose ids may not come again


@dataclass(frozen=True)
class Settings:
    """Read one JSON object a line, and print a line for every alarm as it happens.

    A line is {"observation": [...], "first": true} where a match begins and {"observation": [...]} within it; or every
    line names its match, as in {"observation": [...], "match": 7}, and a match begins where the name changes. An
    observation of named parts is {"observation": {"camera": [...], "speed": [...]}}. A detector of transitions also
    needs the agent's own "action". Exit codes: 1 after an alarm, 0 without one, 130 after Ctrl-C without one, 2 for a
    line that cannot be read.

    Example: sparring detect detector.safetensors --input observations.jsonl
    """

    detector: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DETECTOR")]
    """A detector's file, as sparring.detectors.save writes it."""
    input: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Where the lines are read from; by default standard input, which may go on for ever."""
    seed: int = 0
    """Of the numbers that break ties between whole matches."""
    json: bool = False
    """Print every alarm and the summary as a JSON object of one line, and nothing else on standard output."""


def answer(settings: Settings) -> dict[str, Any]:
    """The summary, after the alarms have been printed one by one.

    Raises:
      InputError: no detector, or a line that is none; the message says which.
    """
    if settings.seed < 0:
        raise InputError(f"seed: expected a whole number of at least 0, got {settings.seed}")
    detector = read(settings.detector)
    stream, where = Stream(detector, settings.seed), settings.input or "standard input"
    reader = _Reader(detector, stream)
    lines, interrupted = 0, False
    try:
        with _opened(settings.input) as source:
            for lines, line in _lines(source, where):
                try:
                    found = reader.add(line)
                except InputError as error:
                    so_far = f"{stream.caught} of {stream.matches} matches before had an alarm"
                    raise InputError(f"{where}, line {lines}: {error} ({so_far})") from None
                for alarm in found:
                    _tell({**alarm, "line": lines}, settings.json)
        for alarm in reader.close():
            _tell({**alarm, "line": lines}, settings.json)
    except KeyboardInterrupt:  # how a stream that goes on for ever is ended: the match that goes on is not judged
        interrupted = True
    if not lines and not interrupted:
        raise InputError(f"{where}: expected observations, got no line: is the agent connected?")
    return {
        "summary": True,
        "interrupted": interrupted,
        "detector": settings.detector,
        "game": detector.game,
        "lines": lines,
        "matches": stream.matches,
        "alarms": stream.caught,
        "attack_across_matches": stream.across,
        "log_wealth": stream.log_wealth,
        "false_alarm_rate": detector.rate,
        "certified": detector.certified,
    }


class _Reader:
    """The lines of a stream, given to a detector."""

    def __init__(self, detector: Detector, stream: Stream) -> None:
        self.detector, self.stream = detector, stream
        self.name: Any = None  # of the match that goes on
        self.earlier: dict[Any, None] = {}

    def add(self, line: bytes) -> list[dict[str, Any]]:
        """What one line sets off.

        Raises:
          InputError: it is not what a line has to be.
        """
        try:
            item = json.loads(line, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise InputError(f"no JSON: {error}") from None
        if not isinstance(item, dict) or "observation" not in item or item.keys() - _KEYS:
            got = f"the keys {', '.join(sorted(item)[:8])}" if isinstance(item, dict) else type(item).__name__
            raise InputError(f"expected a JSON object with observation, and perhaps action, first or match, got {got}")
        first, name = item.get("first", False), item.get("match")
        if not isinstance(first, bool):
            raise InputError(f"first: expected true or false, got {json.dumps(first)[:40]}")
        if isinstance(name, (dict, list, float, bool)):
            raise InputError(f"match: expected a name or a number, got {type(name).__name__}")
        if self.name is not None and name is None:
            raise InputError("match: the lines before name their match, this one does not: name it in every line")
        if self.stream.matches == 0 and name is None and not first:
            raise InputError('expected "first": true where a match begins, or "match": NAME in every line, got neither')
        row = flat(item["observation"], len(self.detector.names), "observation")
        action = None
        if self.detector.transition is not None:
            if item.get("action") is None:
                raise InputError("action: this detector looks at transitions, which needs the agent's own action")
            action = action_of(self.detector, item["action"])
        found = []
        if first or name != self.name or self.stream.matches == 0:
            found = self._begin(name, first)
        seen = self.stream.add(row, action)
        if seen.alarm:
            number = self.stream.matches - 1
            found.append(
                {"alarm": "match", "match": number if name is None else name, "step": seen.step, "value": seen.value}
            )
        return found

    def _begin(self, name: Any, first: bool) -> list[dict[str, Any]]:
        if name is not None and name != self.name:
            if name in self.earlier:
                raise InputError(f"match: {name!r} has ended before: give whole matches one after the other")
            self.earlier[name] = None
            if len(self.earlier) > _REMEMBERED:
                del self.earlier[next(iter(self.earlier))]
        self.name = name
        found = self.close()
        self.stream.begin()
        return found

    def close(self) -> list[dict[str, Any]]:
        """End the match that goes on."""
        if not self.stream.finish():
            return []
        return [{"alarm": "across matches", "match": self.stream.matches - 1, "log_wealth": self.stream.log_wealth}]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no key may come twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return found


@contextmanager
def _opened(path: str | None) -> Iterator[BinaryIO]:
    if path is not None:
        try:
            with open(path, "rb") as file:
                yield file
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
    elif sys.stdin is None:
        raise InputError("standard input is closed: give the lines there, or a file with --input")
    else:
        yield getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode())


def _lines(source: BinaryIO, where: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers, each as soon as it is there."""
    number = 0
    while line := source.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(f"{where}, line {number}: it has more than {MAX_LINE} bytes")
        if line.strip():
            yield number, line


def _tell(alarm: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(json.dumps(alarm))
    elif alarm["alarm"] == "match":
        say(f"alarm in match {_shown(alarm['match'])}, step {alarm['step']} (line {alarm['line']})")
    else:
        say(f"alarm across matches, after match {alarm['match']} (line {alarm['line']}): not all are benign")


def _shown(name: Any) -> str:
    """A match's name on one line: characters that are not printed, or not known to the terminal, as JSON has them."""
    shown = str(name)
    try:
        shown.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(shown)
    return shown if shown.isprintable() else json.dumps(shown)


def text(result: dict[str, Any]) -> str:
    count, alarms = result["matches"], result["alarms"]
    across = "an alarm" if result["attack_across_matches"] else "no alarm"
    return (
        f"{alarms} of {count} matches with an alarm, {across} across matches; {result['lines']} lines\n"
        f"threshold: {result['certified']}"
    )


def exit_code(settings: Settings, result: dict[str, Any]) -> int:
    """1 after an alarm; 130 where Ctrl-C ended a stream without one."""
    del settings
    if result["alarms"] or result["attack_across_matches"]:
        return FINDING
    return INTERRUPTED if result["interrupted"] else DONE
