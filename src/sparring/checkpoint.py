"""Checkpoints: named arrays and a JSON record in one safetensors file, written by one atomic rename. Never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.files import check_file, write_atomic

MAX_BYTES = 2 * 2**30
_META = "sparring"  # the one key of the file's own metadata, whose values can only be strings
_SUM = "sha256 of all else"  # in the record; files of older versions have none
_DTYPES = frozenset(
    {"bool", "float16", "bfloat16", "float32", "float64", "complex64"}
    | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
)


def save(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write `arrays` and `meta` to `path`; the file that was there stays whole until the new one is complete.

    Args:
      path: the file; its folder must exist.
      arrays: arrays of any shape, 0-d included, of boolean, integer or floating dtype.
      meta: plain JSON: no NaN, and every key a string.

    Raises:
      InputError: a dtype that the format cannot hold, a `meta` that is not JSON, or a file that cannot be written.
    """
    from safetensors.numpy import save as serialise

    for name, array in arrays.items():
        if np.asarray(array).dtype.name not in _DTYPES:
            raise InputError(f"checkpoint {path}: array {name!r} has dtype {np.asarray(array).dtype}, expected numbers")
        if name == "__metadata__":
            raise InputError(f"checkpoint {path}: an array cannot be called {name!r}, the format reserves that name")
    # safetensors writes a strided array's buffer as if it were contiguous, in the wrong order.
    contiguous = {name: np.array(array, order="C") for name, array in arrays.items()}
    try:
        record = json.dumps(dict(meta), allow_nan=False)
        record = json.dumps({**meta, _SUM: _digest(contiguous, record)})
    except (TypeError, ValueError) as error:
        raise InputError(f"checkpoint {path}: the record is not plain JSON: {error}") from None
    write_atomic(path, serialise(contiguous, {_META: record}))


def load(path: Path, max_bytes: int = MAX_BYTES, finite: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save` wrote: the arrays, bit for bit, and the record.

    Args:
      path: the file.
      max_bytes: a larger file is refused before any of it is read.
      finite: refuse NaN and infinity, which no trained weights contain.

    Raises:
      InputError: the file is missing, too large, truncated, damaged, of another format, or not finite.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    check_file(path, max_bytes)
    try:
        with safe_open(path, "numpy") as file:
            record = (file.metadata() or {})[_META]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        meta = json.loads(record)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, AttributeError) as error:  # AttributeError: a dtype that NumPy does not know
        raise InputError(f"{path} is truncated or no safetensors file: {error}") from None
    except (KeyError, ValueError):
        raise InputError(f"{path} is a safetensors file but no checkpoint of sparring") from None
    if isinstance(meta, dict) and (said := meta.pop(_SUM, None)) not in (None, _digest(arrays, json.dumps(meta))):
        raise InputError(f"{path} is damaged: its numbers are not those that were written (checksum {str(said)[:12]})")
    if finite:
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise InputError(f"{path}: array {name!r} contains NaN or infinity; the weights have diverged")
    return arrays, meta


def _digest(arrays: Mapping[str, np.ndarray], record: str) -> str:
    """SHA-256 of a record and of arrays in C order, with their names, kinds and shapes."""
    found = hashlib.sha256(record.encode())
    for name, array in sorted(arrays.items()):
        found.update(f"\n{name} {array.dtype.name} {list(array.shape)}\n".encode())
        swapped = array.astype(array.dtype.newbyteorder("<")) if array.dtype.byteorder == ">" else array
        found.update(swapped.tobytes())
    return found.hexdigest()


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The numbers of a pytree, named by their key paths (`"victim/layers/0/weight"`).

    Arrays and Python numbers are kept; other leaves (functions, strings) belong to the code and are left out.

    Raises:
      InputError: two leaves get the same name.
    """
    import jax

    arrays: dict[str, np.ndarray] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not _is_number(leaf):
            continue
        name = _name(path)
        if name in arrays:
            raise InputError(f"two leaves of the tree are called {name!r}: rename one")
        arrays[name] = np.asarray(leaf)
    return arrays


def unflatten(tree_like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """`tree_like` with its numbers replaced by `arrays`, the inverse of `flatten`.

    A leaf keeps its kind: a JAX array stays one, a NumPy array stays one, a Python number stays one.

    Raises:
      InputError: an array is missing, unexpected, or differs in shape or dtype.
    """
    import jax

    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree_like)
    names = {_name(path) for path, leaf in leaves if _is_number(leaf)}
    if missing := sorted(names - arrays.keys()):
        raise InputError(f"the checkpoint lacks {missing[0]!r}: it was saved with other settings")
    if unexpected := sorted(arrays.keys() - names):
        raise InputError(f"the checkpoint has an unexpected {unexpected[0]!r}: it was saved with other settings")
    restored = [_like(leaf, arrays[_name(path)], _name(path)) if _is_number(leaf) else leaf for path, leaf in leaves]
    return jax.tree_util.tree_unflatten(treedef, restored)


def _is_number(leaf: Any) -> bool:
    import jax

    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float))


def _name(path: Any) -> str:
    import jax

    return jax.tree_util.keystr(path, simple=True, separator="/")


def _like(leaf: Any, array: np.ndarray, name: str) -> Any:
    """`array` as the kind of thing that `leaf` is."""
    import jax

    expected = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    if (array.shape, array.dtype) != (expected.shape, expected.dtype):
        raise InputError(
            f"the checkpoint's {name!r} is {array.dtype} {list(array.shape)}, "
            f"expected {expected.dtype} {list(expected.shape)}: it was saved with other settings"
        )
    if isinstance(leaf, jax.Array):
        return leaf.at[...].set(array)  # keeps a weak type weak, so that nothing is compiled anew
    if isinstance(leaf, np.ndarray):
        return np.array(array)
    return array[()] if isinstance(leaf, np.generic) else type(leaf)(array.item())
