"""What all records have in common."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from audits import three_budgets

from sparring.records import Damage, Played, Who, replaced
from sparring.results import plain


def test_played_has_all_the_fields_of_who() -> None:
    def fields(record: Any) -> set[tuple[str, str]]:
        return {(field.name, str(field.type)) for field in msgspec.structs.fields(record)}

    assert fields(Who) <= fields(Played)


def test_records_are_frozen_and_replaced() -> None:
    audit = three_budgets()
    with pytest.raises(AttributeError):
        audit.seed = 1  # pyright: ignore[reportAttributeAccessIssue]
    assert replaced(audit, seed=1).seed == 1 and audit.seed == 3
    assert plain(replaced(audit, budgets=(replaced(audit.budgets[0], damage=Damage()),)))["budgets"][0]["damage"] == {
        "win": None,
        "fail": None,
        "return": None,
        "value": None,
    }
