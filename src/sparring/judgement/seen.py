"""How visible an attack is, in a sentence: by the AUC of whole matches, which takes all features and steps together."""

from __future__ import annotations

from sparring.visibility import Visibility

CLEAR = 0.05  # of a p-value


def seen_line(seen: Visibility, label: str) -> str:
    """What a classifier and a detector make of one attack, which is called `label`."""
    area = seen.auc_match
    if area is None:
        why = f" ({seen.reason})" if seen.reason else ""
        return f"{label}: no classifier looked at whole matches{why}."
    told = f"AUC {area.value:.2f} [{area.low:.2f}, {area.high:.2f}]"
    if seen.auc_floor is not None:
        told += f", benign against benign {seen.auc_floor.value:.2f}"
    visible = area.low > 0.5 and (area.p is None or area.p <= CLEAR)
    known = "whoever knows this attacker tells its whole matches from benign ones"
    unknown = "whole matches are not told from benign ones, even by whoever knows this attacker"
    said = f"{label}: {known if visible else unknown} ({told})."
    if seen.online:
        one = seen.online[0]
        said += (
            f" While they are played, a detector catches {one.caught:.0%} of its matches, with {one.false_alarms:.1%} "
            "false alarms."
        )
    return said
