from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from sparring import checkpoint
from sparring.detectors import FORMAT, action_of, flat, read, save
from sparring.errors import InputError
from sparring.metrics.online import Detector, fit_detector
from sparring.metrics.scorers import arrays_of
from sparring.metrics.windows import View

BENIGN, ATTACKED = toys.wandering(40, seed=1), toys.wandering(40, shift=1.0, seed=2)
VIEWS: tuple[View, ...] = ("state", "transition")


def made(view: View = "transition", known: bool = True, window: int = 3) -> Detector:
    names = ("x", "y", "speed")
    attacked = ATTACKED if known else None
    return fit_detector(BENIGN, attacked, game="toy", names=names, view=view, window=window)


def arrays(detector: Detector) -> dict[str, np.ndarray]:
    found = {f"scorer.{k}": v for k, v in arrays_of(detector.scorer).items()} | {"calibration": detector.calibration}
    if detector.transition is not None:
        found |= {f"transition.{k}": v for k, v in arrays_of(detector.transition).items()}
    return found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_saved_is_read_bit_for_bit(view: View, known: bool, tmp_path: Path) -> None:
    path, detector = tmp_path / "d.safetensors", made(view, known)
    save(detector, path, {"matches": 40})
    found = read(path)
    ours, theirs = arrays(detector), arrays(found)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        np.testing.assert_array_equal(array, theirs[name])
    rest = {k: v for k, v in vars(detector).items() if k not in ("scorer", "transition", "calibration")}
    assert rest == {k: v for k, v in vars(found).items() if k in rest}
    np.testing.assert_array_equal(detector.paths(ATTACKED), found.paths(ATTACKED))
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_detectors(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    checkpoint.save(path, {"a": np.zeros(3)}, {"format": "sparring actor-critic 2"})
    with pytest.raises(InputError, match="expected a detector"):
        read(path)
    path.write_bytes(b"\x80\x04\x95pickle")
    with pytest.raises(InputError, match="truncated or no safetensors file"):
        read(path)
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "nowhere")
    with open(path, "wb") as file:
        file.truncate(65 * 2**20)  # sparse
    with pytest.raises(InputError, match="expected at most 67108864"):
        read(path)
    with pytest.raises(InputError, match="detector: expected a Detector"):
        save("nothing", path)  # pyright: ignore[reportArgumentType]


CHANGES: list[tuple[str, Any]] = [
    ("window", 10**9),
    ("window", True),
    ("window", 1),
    ("actions", -1),
    ("actions", 10**6),
    ("actions", 1),
    ("alpha", 0),
    ("alpha", "small"),
    ("view", "pixels"),
    ("view", ["state"]),
    ("view", "state"),
    ("statistic", None),
    ("scorer", "distance"),
    ("names", ["x", "x", "y"]),
    ("names", []),
    ("names", [["x"]]),
    ("names", None),
    ("one_hot", 1),
    ("game", {}),
]


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_a_description_is_not_believed(key: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    save(made(), path)
    held, meta = checkpoint.load(path)
    checkpoint.save(path, held, {**meta, key: value})
    with pytest.raises(InputError, match="the detector is damaged") as refused:
        read(path)
    assert "\n" not in str(refused.value)
    checkpoint.save(path, held, {k: v for k, v in meta.items() if k != key})
    with pytest.raises(InputError, match="the detector is damaged"):
        read(path)


@pytest.mark.parametrize(
    "name", ["spread", "rate", "threshold", "calibration", "scorer.weights", "scorer.unit.scale", "transition.weights"]
)
def test_arrays_are_not_believed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    save(made(), path)
    held, meta = checkpoint.load(path)
    assert meta["format"] == FORMAT
    bad = [np.full_like(held[name], np.nan), held[name].astype(np.float32), np.zeros((2, 3))]
    if name in ("spread", "rate", "scorer.unit.scale"):
        bad.append(0 * held[name])
    for array in bad:
        checkpoint.save(path, {**held, name: array}, meta)
        with pytest.raises(InputError):
            read(path)
    checkpoint.save(path, {k: v for k, v in held.items() if k != name}, meta)
    with pytest.raises(InputError, match="the detector is damaged"):
        read(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(json_values)
def test_an_observation_is_flat_or_refused(value: Any) -> None:
    value = json.loads(json.dumps(value))
    try:
        found = flat(value, 2, "observation")
    except InputError as error:
        assert str(error).startswith("observation: ") and "\n" not in str(error)
    else:
        assert found.shape == (2,) and found.dtype == np.float32 and np.isfinite(found).all()


def test_observations_of_parts_are_sorted_by_name() -> None:
    assert flat({"b": [[3, 4], [5, 6]], "a": 1.5}, 5, "observation").tolist() == [1.5, 3, 4, 5, 6]


def test_actions_that_are_choices() -> None:
    choices = BENIGN._replace(action=np.eye(3, dtype=np.float32)[np.arange(len(BENIGN.rows)) % 3])
    detector = fit_detector(choices, view="transition", window=1)
    assert detector.one_hot and action_of(detector, 2).tolist() == [0, 0, 1]
    assert action_of(detector, [0, 1, 0]).tolist() == [0, 1, 0]
    assert action_of(detector, [0, 1, 0]).tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="action: expected the number of a choice, or one-hot"):
        action_of(detector, [0.5, 7, 0])
    with pytest.raises(InputError, match="action: expected a choice from 0 to 2, got 3"):
        action_of(detector, 3)
    with pytest.raises(InputError, match="action: expected 2 numbers, got 1"):
        action_of(made(), 1)
