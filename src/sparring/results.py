"""The JSON contract: results are written as JSON, and read again.

Every result names its `schema`, such as "sparring.audit/2"; `data/results.schema.json` is the JSON Schema of them all.
What they hold is in `sparring.records`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from sparring.answers import (
    AttackResult,
    AuditResult,
    BudgetsResult,
    CertifyResult,
    CompareResult,
    CrossPlayResult,
    DefendResult,
    EvaluateResult,
    Result,
    StealthResult,
)
from sparring.errors import InputError
from sparring.files import check_file, write_atomic

VERSION = 2
MAX_JSON_BYTES = 64 * 2**20
SCHEMA_FILE = Path(__file__).parent / "data" / "results.schema.json"

KINDS: dict[str, type[Any]] = {
    "audit": AuditResult,
    "attack": AttackResult,
    "evaluate": EvaluateResult,
    "cross-play": CrossPlayResult,
    "certify": CertifyResult,
    "stealth": StealthResult,
    "defend": DefendResult,
    "compare": CompareResult,
    "budgets": BudgetsResult,
}


def plain(record: Result) -> dict[str, Any]:
    """The record as plain JSON values: NumPy numbers become Python's, paths strings, NaN and infinity null.

    Raises:
      InputError: a field holds something of another type than the contract says.
    """
    return msgspec.json.decode(encode(record))


def encode(record: Result) -> bytes:
    """The record as indented JSON.

    Raises:
      InputError: as `plain`.
    """
    data = msgspec.json.encode(record, enc_hook=_plain)
    _decode(data, type(record), f"{type(record).__name__}")
    return msgspec.json.format(data, indent=2) + b"\n"


def write(record: Result, path: Path) -> Path:
    """Write the record into a JSON file in one atomic step; returns the path.

    Raises:
      InputError: as `plain`, or the file cannot be written.
    """
    write_atomic(Path(path), encode(record))
    return Path(path)


def read(source: Path | str | bytes | dict[str, Any]) -> Any:
    """The record in a JSON file, in its bytes, or of its decoded object.

    Audits of the first version, which had no `schema`, are converted; `judgement.judged` gives them a verdict.

    Raises:
      InputError: no such file, no result of sparring, a newer version, or a field that is missing or of another type.
    """
    name, data = "the result", source
    if isinstance(source, (str, Path)):
        name = str(source)
        check_file(Path(source), MAX_JSON_BYTES)
        data = Path(source).read_bytes()
    if isinstance(data, bytes):
        try:
            data = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"{name} is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{name}: expected a JSON object, got {type(data).__name__}")
    schema = data.get("schema")
    if schema is None:
        from sparring.older_results import audit_of_version_1

        return _convert(audit_of_version_1(data, name), AuditResult, name)
    kind, _, version = str(schema).removeprefix("sparring.").partition("/")
    if kind not in KINDS or not str(schema).startswith("sparring.") or not version.isdecimal():
        raise InputError(f"{name}: expected a schema such as sparring.audit/{VERSION}, got {schema!r}")
    if int(version) > VERSION:
        raise InputError(f"{name} was written by a newer version of sparring ({schema}; this one reads /{VERSION})")
    return _convert(data, KINDS[kind], name)


def read_audit(source: Path | str) -> AuditResult:
    """The audit in a run folder or an `audit.json`.

    Raises:
      InputError: as `read`, another kind of result, or an audit without any budget.
    """
    path = Path(source)
    path = path / "audit.json" if path.is_dir() else path
    record = read(path)
    if not isinstance(record, AuditResult):
        raise InputError(f"{path}: expected an audit, got {record.schema}")
    if not record.budgets:
        raise InputError(f"{path}: the audit has no budgets: expected at least one result; audit again")
    return record


def json_schema() -> dict[str, Any]:
    """The JSON Schema of every result (draft 2020-12)."""
    schemas, components = msgspec.json.schema_components(KINDS.values(), ref_template="#/$defs/{name}")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Results of sparring, version {VERSION}",
        "anyOf": list(schemas),
        "$defs": components,
    }
    return msgspec.json.decode(msgspec.json.encode(schema))


def write_json_schema() -> None:
    """Write the JSON Schema that the package ships."""
    write_atomic(SCHEMA_FILE, msgspec.json.format(msgspec.json.encode(json_schema(), order="sorted"), indent=2) + b"\n")


def _plain(value: Any) -> Any:
    """Of what msgspec does not know: NumPy and JAX numbers and arrays, and paths."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise InputError(f"expected plain JSON, got {type(value).__name__}: {value!r}")


def _decode(data: bytes, kind: type[Any], name: str) -> Any:
    return _convert(msgspec.json.decode(data), kind, name)


def _convert(data: dict[str, Any], kind: type[Any], name: str) -> Any:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: {error}: it was written by another program, or by hand") from None
