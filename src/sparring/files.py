"""Files: size checks before reading, atomic writes, JSON."""

from __future__ import annotations

import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparring.errors import CannotWrite, InputError, check_type

MAX_JSON_BYTES = 64 * 2**20


def check_file(path: Path, max_bytes: int) -> None:
    """Refuse what cannot be read in one go, before any of it is read.

    Raises:
      InputError: `path` is missing, no regular file, or larger than `max_bytes`.
    """
    try:
        info = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"cannot read {path}: expected a regular file")
    if info.st_size > max_bytes:
        raise InputError(f"{path} has {info.st_size} bytes, expected at most {max_bytes}")


def made(folder: Path | str) -> Path:
    """The folder, made with all above it if it is not there.

    Raises:
      InputError: it cannot be made, as where a file has its name.
    """
    check_type("folder", folder, (str, Path), "its name")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; choose another one with --out") from None
    return Path(folder)


def check_target(path: Path, what: str, made: Path | None = None) -> None:
    """Find out before any work whether a file can be written, without writing it.

    Args:
      path: the file.
      what: the option that it was given for, for the message.
      made: a folder that will be there by then; None: there is none.

    Raises:
      InputError: its folder is missing or not writable, or a folder has its name.
    """
    folder = Path(path).parent
    if made is not None and folder.resolve() == made.resolve():
        return
    if not folder.is_dir():
        raise InputError(f"{what} {path}: there is no folder {folder}: make it, or choose another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{what} {path}: the folder {folder} cannot be written in: choose another file")
    if Path(path).is_dir():
        raise InputError(f"{what} {path}: this is a folder: give a file in it")


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file `path` by `data` in one step: a reader sees the old file or the new one, never a part.

    Raises:
      InputError: the folder is missing or not writable, or the disk is full; the old file is intact.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}; choose another folder or free some space") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
      InputError: the file is missing, too large, or holds no JSON object.
    """
    check_file(path, MAX_JSON_BYTES)
    try:
        value = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON in one atomic step. Values as for `plain`."""
    write_atomic(path, (json.dumps(plain(value), indent=2) + "\n").encode())


def plain(value: Any) -> Any:
    """`value` as strict JSON: NumPy numbers and arrays as plain ones, paths as strings, NaN and infinity as null.

    Raises:
      InputError: a value has no such form.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy and JAX
        return plain(value.tolist())
    raise InputError(f"expected plain JSON, got {type(value).__name__}: {value!r}")


def path_of(argument: str) -> tuple[str, str]:
    """A path and what follows it after commas, as in `DIR,policy=NAME`; a comma may be a part of the path.

    The longest part before a comma that exists is the path; what exists nowhere ends at its first comma.
    """
    parts = argument.split(",")
    for count in range(len(parts), 1, -1):
        path = ",".join(parts[:count])
        if os.path.exists(path):
            return path, ",".join(parts[count:])
    return parts[0], ",".join(parts[1:])


def memory() -> int | None:
    """The machine's memory in bytes; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
