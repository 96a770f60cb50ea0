"""`sparring certify` in games that can only be simulated: the coupling certificate from benign matches."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sparring.answers import CertifyResult
from sparring.commands.common import spawned, who
from sparring.errors import InputError
from sparring.files import write_atomic
from sparring.games.markov import SampledMarkovGame
from sparring.judgement.certain import certain_lines
from sparring.metrics.coupling import FEWEST, Range, grid_with
from sparring.oracles import certificate
from sparring.oracles.learned import LearnedOracle, slots
from sparring.oracles.match_files import save_matches
from sparring.oracles.seating import Question
from sparring.records import SAMPLED
from sparring.report.stealth_plots import certificate_figure
from sparring.results import plain, write
from sparring.runs import Run
from sparring.types import check_budget
from sparring.visibility import Coupling

if TYPE_CHECKING:
    from sparring.commands.certify import Settings

MATCHES, MOST = 1000, 10_000_000
DISCOUNTED = "discounted return"
BENIGN_FILE, FIGURE = "benign.matches.safetensors", "certificate.svg"


class FromMatches(NamedTuple):
    oracle: LearnedOracle
    matches: int
    limits: Range | None  # of the victims' return, or of their discounted value
    rewards: Range | None  # of a step; None: returns are not discounted
    gamma: float


def prepare(settings: Settings, question: Question) -> FromMatches:
    matches = MATCHES if settings.matches is None else settings.matches
    if matches < FEWEST:
        raise InputError(f"matches: expected at least {FEWEST}, got {matches}")
    slots(matches)
    if matches > MOST:
        raise InputError(f"matches: expected at most {MOST:,}, got {matches:,}")
    if settings.control == "blend":
        raise InputError("control=blend: no bound holds for every attacker where actions are blended; use step")
    oracle = LearnedOracle(question)
    rewards, gamma = _discounted(settings, question)
    if rewards is not None:
        limits = Range(rewards.low / (1 - gamma), rewards.high / (1 - gamma))
        certificate.check_threshold(settings.at_least, limits, DISCOUNTED)
        return FromMatches(oracle, matches, limits, rewards, gamma)
    limits = oracle.return_range() if settings.return_range is None else _range("return-range", settings.return_range)
    if limits is None and not oracle.winners():
        raise InputError(
            f"{question.game}: return-range: this game has no winners and does not say what its returns can be; give "
            "the least and the largest return of the victim that is possible: --return-range LOW HIGH"
        )
    if limits is not None and not limits[0] < limits[1]:
        raise InputError(f"{question.game}: every match pays the victim {limits[0]:g}: there is nothing to certify")
    limits = None if limits is None else Range(*limits)
    certificate.check_threshold(settings.at_least, limits, "return")
    return FromMatches(oracle, matches, limits, None, 1.0)


def _discounted(settings: Settings, question: Question) -> tuple[Range | None, float]:
    """What a step can pay and the discount, where values are discounted: as the game says, or the user."""
    game = question.finite
    own = game.game.gamma if isinstance(game, SampledMarkovGame) else 0.0
    if settings.discount is None and settings.reward_range is not None:
        raise InputError("reward-range: it is read with --discount; give both, or leave it out")
    if settings.discount is None and own == 0:
        return None, 1.0
    if settings.return_range is not None:
        raise InputError("return-range: discounted values are certified from rewards; give --reward-range LOW HIGH")
    if settings.control == "episode":
        raise InputError("control=episode: discounted values are certified under control at every step alone")
    gamma = own if settings.discount is None else settings.discount
    if not 0 < gamma < 1:
        raise InputError(f"discount: expected a number above 0 and below 1, got {gamma:g}")
    if settings.reward_range is not None:
        return _range("reward-range", settings.reward_range), gamma
    if not isinstance(game, SampledMarkovGame):
        raise InputError("discount: give the least and the largest reward of a step, too: --reward-range LOW HIGH")
    paid = game.game.r if question.threat.victim == game.agents[0] else -game.game.r
    if not float(paid.min()) < float(paid.max()):
        raise InputError(f"{question.game}: every step pays the victim {paid.min():g}: there is nothing to certify")
    return Range(float(paid.min()), float(paid.max())), gamma


def _range(name: str, given: tuple[float, float]) -> Range:
    if len(given) != 2:  # a Python caller's
        raise InputError(f"{name}: expected two numbers, LOW and HIGH, got {len(given)}")
    low, high = given
    if not (math.isfinite(high - low) and low < high):
        raise InputError(f"{name}: expected two finite numbers LOW < HIGH, got {low:g} {high:g}")
    return Range(low, high)


def plan(prepared: FromMatches) -> dict[str, Any]:
    return prepared.oracle.plan(0, prepared.matches)


def execute(settings: Settings, prepared: FromMatches, run: Run) -> dict[str, Any]:
    from sparring.play.keeping import Discounted

    begun = time.monotonic()
    oracle, matches, limits, rewards, gamma = prepared
    question, budget = oracle.question, check_budget(settings.budget)
    threat, discounted, grid = question.threat, None, grid_with([budget])
    if rewards is not None:
        team = threat.coin == "team"
        discounted = Discounted(threat.victims, threat.attackers, team, grid, gamma, rewards, matches)
    outcomes = oracle.play(
        threat.benign,
        0.0,
        matches,
        spawned(settings.seed, 0),
        "benign matches",
        states=0,
        on_steps=None if discounted is None else discounted.add,
    )
    certain = certificate.from_matches(outcomes, threat, limits, discounted, grid)
    save_matches(run.folder / BENIGN_FILE, outcomes)
    result = CertifyResult(
        **who(settings, question, run),
        oracle=SAMPLED,
        budget=budget,
        coupling=certificate.record(
            certain,
            budget=budget,
            limits=limits,
            what="return" if rewards is None else DISCOUNTED,
            at_least=settings.at_least,
            outcomes=outcomes,
            threat=threat,
        ),
        baseline=oracle.rates(outcomes, oracle.scale([outcomes])),
        figure=str(run.folder / FIGURE),
        wall_time_s=time.monotonic() - begun,
    )
    assert result.coupling is not None
    write_atomic(run.folder / FIGURE, certificate_figure(result.coupling, question.game).encode())
    write(result, run.folder / "certify.json")
    return plain(result)


def text(result: dict[str, Any]) -> list[str]:
    """The coupling certificate for people, one sentence a line."""
    certain = result.get("coupling")
    return [] if certain is None else certain_lines(msgspec.convert(certain, Coupling))
