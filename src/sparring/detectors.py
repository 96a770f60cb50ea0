"""Detectors in files: safetensors with a JSON description, as policies are kept. Never pickle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.errors import InputError, check_type
from sparring.metrics.online import STATISTICS, VIEWS, Detector
from sparring.metrics.scorers import Classifier, Distance, Transition, arrays_of, checked, unit_from

FORMAT = "sparring detector 1"
MAX_BYTES = 64 * 2**20
_SETTINGS = ("game", "view", "window", "statistic", "alpha", "certified", "actions", "one_hot")
_NUMBERS = ("centre", "spread", "threshold", "rate")


def save(detector: Detector, path: Path | str, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a detector, committed by one rename.

    Args:
      detector: as `fit_detector` makes it.
      path: the file; its folder must exist.
      provenance: how it was made; any JSON.

    Raises:
      InputError: no detector, numbers that are NaN or infinite, or a path that cannot be written.
    """
    check_type("detector", detector, Detector, "a Detector, as fit_detector returns it")
    arrays = {f"scorer.{name}": array for name, array in arrays_of(detector.scorer).items()}
    if detector.transition is not None:
        arrays |= {f"transition.{name}": array for name, array in arrays_of(detector.transition).items()}
    arrays |= {name: np.array(getattr(detector, name), np.float64) for name in _NUMBERS}
    arrays["calibration"] = detector.calibration
    if bad := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise InputError(f"{path}: not saved, because {bad[0]} is NaN or infinite")
    meta = {
        "format": FORMAT,
        "scorer": "classifier" if isinstance(detector.scorer, Classifier) else "distance",
        "names": list(detector.names),
        **{name: getattr(detector, name) for name in _SETTINGS},
        "provenance": dict(provenance or {}),
    }
    checkpoint.save(Path(path), arrays, meta)


def read(path: Path | str) -> Detector:
    """The detector in a file, bit for bit what was saved.

    Raises:
      InputError: missing, truncated, too large, not of this format, or damaged; NaN or infinity.
    """
    path = Path(path)
    arrays, meta = checkpoint.load(path, max_bytes=MAX_BYTES, finite=True)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        got = meta.get("format", "no format") if isinstance(meta, dict) else "no description"
        raise InputError(f"{path}: expected a detector ({FORMAT}), got {got!r}")
    try:
        return _detector(arrays, meta)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: the detector is damaged ({' '.join(str(error).split())})") from error


def _detector(arrays: dict[str, np.ndarray], meta: Mapping[str, Any]) -> Detector:
    """A detector from what a file says, none of which is believed.

    Raises:
      KeyError, TypeError, ValueError: it is damaged.
    """
    settings: dict[str, Any] = {name: meta[name] for name in _SETTINGS}
    names = meta["names"]
    for name in ("game", "certified"):
        _is(isinstance(settings[name], str), name)
    _is(
        isinstance(names, list) and all(isinstance(n, str) for n in names) and len(set(names)) == len(names) > 0,
        "names",
    )
    _is(_whole(settings["window"], 1, 1000), "window")
    _is(_whole(settings["actions"], 0, 10**6), "actions")
    _is(isinstance(settings["one_hot"], bool), "one_hot")
    _is(settings["view"] in VIEWS and settings["statistic"] in STATISTICS, "view or statistic")
    _is(isinstance(settings["alpha"], float) and 0 < settings["alpha"] < 1, "alpha")
    _is(meta["scorer"] in ("classifier", "distance"), "scorer")
    numbers: dict[str, Any] = {name: float(checked(arrays, name, ())) for name in _NUMBERS}
    _is(numbers["spread"] > 0 and 0 < numbers["rate"] <= 1, "spread or rate")
    calibration = arrays["calibration"]
    _is(calibration.dtype == np.float64 and calibration.ndim == 1 and len(calibration) > 0, "calibration")
    _is(bool((np.diff(calibration) >= 0).all()), "calibration")
    _is(settings["view"] == "transition" or settings["actions"] == 0, "actions")
    size = len(names)
    features = size if settings["window"] == 1 else 3 * size
    inner = _under(arrays, "scorer.")
    if meta["scorer"] == "classifier":
        unit = unit_from(inner, features)
        scorer: Classifier | Distance = Classifier(unit, checked(inner, "weights", unit.centre.shape))
    else:
        shapes = {"mean": (features,), "scale": (features,), "whitening": (features, features)}
        scorer = Distance(**{name: checked(inner, name, shape) for name, shape in shapes.items()})
        _is(bool((scorer.scale > 0).all()), "scale")
    model = None
    if settings["view"] == "transition":
        inner = _under(arrays, "transition.")
        unit = unit_from(inner, size + settings["actions"])
        weights = checked(inner, "weights", (len(unit.centre) + 1, size))
        model = Transition(unit, weights, checked(inner, "whitening", (size, size)))
    return Detector(names=tuple(names), scorer=scorer, transition=model, calibration=calibration, **settings, **numbers)


def _is(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(f"{what} is not what a detector has")


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def flat(value: Any, expected: int, what: str) -> np.ndarray:
    """An observation or an action of a live stream, as JSON has it, as float32 [expected].

    Named parts follow each other in the order of their names, as in `types.Dict`; nested lists in C order.

    Raises:
      InputError: another size, no numbers, or NaN or infinity.
    """
    numbers: list[float] = []
    _collect(value, numbers, what)
    if len(numbers) != expected:
        raise InputError(f"{what}: expected {expected} numbers, got {len(numbers)}")
    with np.errstate(over="ignore"):
        found = np.array(numbers, np.float32)
    if not np.isfinite(found).all():
        place = int(np.flatnonzero(~np.isfinite(found))[0])
        large = math.isfinite(numbers[place])
        raise InputError(f"{what}: number {place} is {'too large for float32' if large else 'NaN or infinite'}")
    return found


def _collect(value: Any, numbers: list[float], what: str, depth: int = 0) -> None:
    if isinstance(value, (list, dict)) and depth < 16:
        for inner in value if isinstance(value, list) else (value[name] for name in sorted(value)):
            _collect(inner, numbers, what, depth + 1)
    elif isinstance(value, (bool, int, float)):
        try:
            numbers.append(float(value))
        except OverflowError:
            numbers.append(math.inf)
    else:
        raise InputError(f"{what}: expected numbers, got {type(value).__name__}")


def action_of(detector: Detector, value: Any) -> np.ndarray:
    """The victim's action in a live stream: its numbers, or of a discrete choice its number, as float32 [A].

    Raises:
      InputError: as `flat`, or a choice that there is not.
    """
    if detector.one_hot and isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < detector.actions:
            raise InputError(f"action: expected a choice from 0 to {detector.actions - 1}, got {value}")
        chosen = np.zeros(detector.actions, np.float32)
        chosen[value] = 1
        return chosen
    found = flat(value, detector.actions, "action")
    if detector.one_hot and not (np.isin(found, (0, 1)).all() and found.sum() == 1):
        raise InputError("action: expected the number of a choice, or one-hot, as the detector learned it")
    return found
