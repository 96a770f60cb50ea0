from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from sparring import checkpoint
from sparring.errors import InputError

DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32"]
DTYPES += ["float64", "complex64"]


class State(NamedTuple):
    weights: dict
    step: object


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(
    arrays=st.dictionaries(
        st.text(min_size=1, max_size=9).filter(lambda name: name != "__metadata__"),
        st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    ),
    meta=st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)),
)
def test_roundtrip_is_exact(tmp_path_factory: pytest.TempPathFactory, arrays: dict, meta: dict) -> None:
    path = tmp_path_factory.getbasetemp() / "roundtrip.safetensors"
    checkpoint.save(path, arrays, meta)
    loaded, loaded_meta = checkpoint.load(path)
    assert loaded_meta == meta
    assert loaded.keys() == arrays.keys()
    assert all(same_bits(loaded[name], arrays[name]) for name in arrays)


def test_strided_arrays_and_bfloat16_keep_their_values(tmp_path: Path) -> None:
    a = np.arange(12).reshape(3, 4)
    arrays = {"t": a.T, "every_other": a[:, ::2], "fortran": np.asfortranarray(a), "swapped": a.astype(">i8")}
    arrays["bf16"] = a.astype(ml_dtypes.bfloat16)
    checkpoint.save(tmp_path / "c", arrays, {})
    loaded, _ = checkpoint.load(tmp_path / "c")
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
    assert loaded["bf16"].dtype == ml_dtypes.bfloat16
    loaded["t"][0, 0] = 7  # the caller's to keep


def test_a_large_integer_of_a_random_state_survives(tmp_path: Path) -> None:
    state = np.random.default_rng(3).bit_generator.state  # 128-bit integers
    checkpoint.save(tmp_path / "c", {}, {"rng": state})
    assert checkpoint.load(tmp_path / "c")[1] == {"rng": state}


@pytest.mark.parametrize(
    ("arrays", "meta", "message"),
    [
        ({"a": np.array(["text"])}, {}, "array 'a' has dtype"),
        ({"a": np.array([object()])}, {}, "array 'a' has dtype object"),
        ({"__metadata__": np.zeros(1)}, {}, "reserves that name"),
        ({}, {"a": float("nan")}, "not plain JSON"),
        ({}, {"a": {1, 2}}, "not plain JSON"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path: Path, arrays: dict, meta: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checkpoint.save(tmp_path / "c", arrays, meta)
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, {"a": np.arange(5.0), "b": np.array(True)}, {"step": 1})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            checkpoint.load(path)


@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_never_crashes(tmp_path_factory: pytest.TempPathFactory, position: int, value: int) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    checkpoint.save(path, {"a": np.arange(5.0), "b": np.array(True)}, {"step": 1})
    data = bytearray(path.read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data)
    try:
        arrays, meta = checkpoint.load(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(meta, dict)
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_a_flipped_bit_of_a_number_or_of_the_record_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, {"a": np.arange(6.0)}, {"step": 3})
    whole = path.read_bytes()
    for place in (len(whole) - 3, whole.index(b"step") + 1):
        damaged = bytearray(whole)
        damaged[place] ^= 0x04
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is damaged: its numbers are not those that were written"):
            checkpoint.load(path)


def test_a_file_of_an_older_version_has_no_checksum_and_is_read(tmp_path: Path) -> None:
    save_file({"a": np.arange(3.0)}, tmp_path / "c", {"sparring": '{"step": 3}'})
    arrays, meta = checkpoint.load(tmp_path / "c")
    assert meta == {"step": 3} and arrays["a"].tolist() == [0, 1, 2]


def test_missing_oversized_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        checkpoint.load(path)
    with pytest.raises(InputError, match="expected a regular file"):
        checkpoint.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # reading it would block for ever
    with pytest.raises(InputError, match="expected a regular file"):
        checkpoint.load(tmp_path / "pipe")
    checkpoint.save(path, {"a": np.zeros(100)}, {})
    with pytest.raises(InputError, match="expected at most 100"):
        checkpoint.load(path, max_bytes=100)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="truncated or no safetensors file"):
        checkpoint.load(path)
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(InputError, match="no checkpoint of sparring"):
        checkpoint.load(path)


def test_weights_that_are_not_finite_are_refused_on_demand(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"n": np.array(3), "w": np.array([1.0, np.inf])}, {})
    checkpoint.load(tmp_path / "c")
    with pytest.raises(InputError, match="'w' contains NaN or infinity"):
        checkpoint.load(tmp_path / "c", finite=True)


def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, {"a": np.arange(3)}, {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # a real write error half-way through the file
    try:
        with pytest.raises(InputError, match="cannot write"):
            checkpoint.save(path, {"a": np.zeros(1000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    assert checkpoint.load(path)[0]["a"].tolist() == [0, 1, 2]


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing" / "c", tmp_path / "file" / "c"):
        with pytest.raises(InputError, match=r"cannot write .*; choose another folder"):
            checkpoint.save(path, {}, {})


def tree() -> State:
    net = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    weights = {"net": net, "rows": [np.arange(3, dtype=np.int8), jnp.float32(1.5)], "mask": jnp.array([True, False])}
    weights["weak"] = jnp.asarray(0.1)
    return State(weights, (7, 0.1, np.uint64(2**60 + 1), False, None))


def test_a_tree_comes_back_bit_for_bit(tmp_path: Path) -> None:
    original = tree()
    checkpoint.save(tmp_path / "c", checkpoint.flatten(original), {})
    # A tree of the same structure and other numbers: nothing of it may shine through.
    other = jax.tree.map(lambda x: x if callable(x) else x + x if hasattr(x, "dtype") else type(x)(0), original)
    restored = checkpoint.unflatten(other, checkpoint.load(tmp_path / "c")[0])
    before, after = jax.tree.leaves(original), jax.tree.leaves(restored)
    assert jax.tree.structure(original) == jax.tree.structure(restored)
    assert [type(a) for a in before] == [type(b) for b in after]
    for a, b in zip(before, after, strict=True):
        assert a is b if callable(a) else same_bits(np.asarray(a), np.asarray(b))
        assert getattr(a, "weak_type", None) == getattr(b, "weak_type", None)


def test_names_are_key_paths() -> None:
    assert list(checkpoint.flatten({"victim": [State({"w": np.ones(2)}, 3)]})) == [
        "victim/0/weights/w",
        "victim/0/step",
    ]
    with pytest.raises(InputError, match="two leaves of the tree are called 'a/b'"):
        checkpoint.flatten({"a": {"b": 1}, "a/b": 2})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(2, np.float32)}, "lacks 'b'"),
        ({"a": np.zeros(2, np.float32), "b": np.array(0), "c": np.array(0)}, "unexpected 'c'"),
        ({"a": np.zeros(3, np.float32), "b": np.array(0)}, r"'a' is float32 \[3\], expected float32 \[2\]"),
        ({"a": np.zeros(2, np.float64), "b": np.array(0)}, r"'a' is float64 \[2\], expected float32"),
        ({"a": np.zeros(2, np.float32), "b": np.array(0.5)}, r"'b' is float64 \[\], expected int64"),
    ],
)
def test_a_tree_of_another_shape_is_refused(arrays: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checkpoint.unflatten({"a": jnp.zeros(2), "b": 1}, arrays)
