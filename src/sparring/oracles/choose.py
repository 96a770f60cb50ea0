"""Which oracle answers a question: the exact one where a game can be enumerated, else, or where it is asked for, the
learned one."""

from __future__ import annotations

from sparring.errors import InputError
from sparring.oracles.base import Oracle
from sparring.oracles.exact import exact_oracle, refuse_unread
from sparring.oracles.learned import LearnedOracle
from sparring.oracles.options import Training
from sparring.oracles.preparation import training_of
from sparring.oracles.seating import Question


def is_exact(settings: Training, question: Question) -> bool:
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
      InputError: an option that this oracle does not read, or as `exact_oracle` and `training_of`.
    """
    if is_exact(settings, question):
        refuse_unread(settings)
        return exact_oracle(question)
    return LearnedOracle(question, training_of(settings, question))
