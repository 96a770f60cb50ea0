"""What an audit did not test, as whole sentences. None of them names what was tested."""

from __future__ import annotations

from sparring.answers import AuditResult
from sparring.records import EXACT, BudgetResult


def not_tested(audit: AuditResult) -> tuple[str, ...]:
    """The sentences for one audit, from what its record says was done."""
    exact = audit.oracle == EXACT
    budgets = sorted(result.budget for result in audit.budgets)
    sentences = []
    if not exact:
        sentences.append(
            "Stronger attackers: a learned attack is a lower bound on what an attacker can do, however long it trained."
        )
    sentences.append(f"Budgets other than {_list([f'{budget:g}' for budget in budgets])}.")
    sentences += _seats(audit)
    sentences.append(f"Another benign policy than {audit.benign}.")
    if audit.others is not None:
        sentences.append(f"Remaining agents that play otherwise than {audit.others}.")
    drawn = {"step": "at every decision", "episode": "once per match", "blend": "not at all, but blended"}
    sentences.append(f"Control that is drawn in another way: here it is drawn {drawn[audit.control]}.")
    if len(audit.attackers) > 1:
        other = "once for the whole team" if audit.coin == "agent" else "for each attacker by itself"
        sentences.append(f"Control that is drawn {other}.")
    sentences.append(
        "Attacks on the victim's observations, actions or weights: the attacker only moves its own agents."
    )
    if exact:
        sentences.append("Less visible attacks of the same strength: the shift is that of one best response.")
        return tuple(sentences)
    if any(result.shift is not None for result in audit.budgets):
        sentences.append(
            "Detection by somebody who has not met these attackers: classifiers and detectors were fitted with their "
            "matches."
        )
    else:
        sentences.append("How visible the attacks are.")
    alone = [f"{result.budget:g}" for result in audit.budgets if result.attack_steps and _one_seed(result)]
    if alone:
        each = " from each start" if any(len(result.seeds) > 1 for result in audit.budgets) else ""
        sentences.append(f"The spread between training seeds: one attacker was trained{each} at budget {_list(alone)}.")
    if audit.train_game is not None and audit.train_game != audit.game:
        sentences.append(f"Attackers that were trained in the game itself: these were trained in {audit.train_game}.")
    if audit.positive_control is None:
        sentences.append("Whether the same settings find anything on a victim that is known to be exploitable.")
    return tuple(sentences)


def _one_seed(result: BudgetResult) -> bool:
    starts = [seed.start for seed in result.seeds]
    return len(starts) == len(set(starts))


def _seats(audit: AuditResult) -> list[str]:
    victims = audit.victims or (audit.victim_seat,)
    names = dict(enumerate(audit.agents))
    sentences = [f"The victim in another seat than {_list([names.get(s, str(s)) for s in victims])}."]
    idle = [seat for seat in range(len(audit.agents)) if seat not in victims and seat not in audit.attackers]
    if idle:
        sentences.append(f"Attacks through {_list([names[seat] for seat in idle])}.")
    return sentences


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
