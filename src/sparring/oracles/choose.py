"""Which oracle answers a question: the exact one where a game can be enumerated, else, or where it is asked for, the
learned one."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.errors import InputError
from sparring.oracles.base import Oracle
from sparring.oracles.exact import exact_oracle, refuse_unread
from sparring.oracles.learned import LearnedOracle
from sparring.oracles.options import Attacks, Training
from sparring.oracles.preparation import training_from
from sparring.oracles.seating import Question


def is_exact(settings: Attacks, question: Question) -> bool:
    """Whether the exact oracle is asked.

    Raises:
      InputError: it is asked for, and the game can only be simulated.
    """
    if question.finite is None and settings.oracle == "exact":
        raise InputError(f"{question.game}: oracle=exact needs a matrix, Markov or openspiel game; use oracle=learned")
    return question.finite is not None and settings.oracle in (None, "exact")


def oracle_for(settings: Training, question: Question) -> Oracle:
    """The oracle that the settings mean: an `ExactOracle` or a `LearnedOracle`.

    Raises:
      InputError: as `oracles_for`.
    """
    return oracles_for(settings, question, (settings.start,))[0]


def oracles_for(settings: Attacks, question: Question, starts: Sequence[str | None]) -> tuple[Oracle, ...]:
    """The oracle that the settings mean, once for each start of training; an exact oracle starts nowhere: it is one.

    Args:
      settings: all but the start.
      question: what is asked.
      starts: "benign", "scratch", a policy's name, or None for the strongest weights at hand; at least one.

    Raises:
      InputError: an option that this oracle does not read, or as `exact_oracle` and `training_from`.
    """
    if is_exact(settings, question):
        refuse_unread(settings)
        return (exact_oracle(question),)
    return tuple(LearnedOracle(question, training_from(settings, question, start)) for start in starts)
