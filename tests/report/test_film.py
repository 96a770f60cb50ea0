"""Films: the same match in all panels, a mark on exactly the controlled steps, the right match, the same bytes."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import opengl
import pytest

from sparring.errors import InputError, NoPicture
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.loaders import load
from sparring.mixture import mix
from sparring.play.rollout import rollout, start
from sparring.policies import CallablePolicy
from sparring.report.film import Casting, Film, _Played, _rng, _worth_watching, film
from sparring.report.panels import MARK, Panel, SideBySide, caption
from sparring.types import FunctionalGame, Game

SEED = np.random.SeedSequence(3, spawn_key=(6,))
BUDGETS = (0.0, 0.3, 0.7, 1.0)
SMALL = (160, 128)


def castings(game: Game, victim: str, benign: str, adversarial: str) -> list[Casting]:
    """The first agent is attacked through the second one, without an attack and at three budgets."""
    first, second = game.agents
    nu = load(victim, game, first)
    pi, attack = (load(name, game, second) for name in (benign, adversarial))
    return [Casting(f"budget {b:g}", {first: nu, second: mix(pi, attack, b)}) for b in BUDGETS]


def duel(victim: str = "builtin:disc-early", benign: str = "zero", adversarial: str = "builtin:disc") -> Film:
    game = make("discs/duel", 8)
    return film(game, castings(game, victim, benign, adversarial), ("disc1",), ("disc0",), SEED, size=SMALL)


@pytest.fixture(scope="module")
def made() -> Film:
    return duel()


@pytest.mark.slow
def test_panels_share_the_match_until_an_attacker_is_controlled(made: Film) -> None:
    """Eq. 3.2 with one coin's numbers for all budgets: where the smaller budget controls, the larger one does."""
    benign, low, high, full = made.panels
    assert [panel.name for panel in made.panels] == ["budget 0", "budget 0.3", "budget 0.7", "budget 1"]
    assert not benign.controlled.any() and full.controlled.all()
    common = min(len(low.reel), len(high.reel))
    assert not (low.controlled[:common] & ~high.controlled[:common]).any()
    assert 0.1 < low.controlled.mean() < 0.5 < high.controlled.mean() < 0.9
    for panel in (low, high, full):
        first = int(panel.controlled.argmax())
        for t in range(first + 1):  # up to the moment in which the first controlled step begins
            np.testing.assert_array_equal(panel.reel[t], benign.reel[t])
        assert (panel.reel[first + 2] != benign.reel[first + 2]).any()


def test_the_leading_attack_wins_and_the_captions_say_so(made: Film) -> None:
    assert made.panels[-1].outcome == f"attacker wins at step {len(made.panels[-1].reel)}"
    for panel in made.panels:
        assert len(panel.controlled) == len(panel.reel)
        assert panel.outcome.endswith(f"at step {len(panel.reel)}")


@pytest.mark.slow
def test_what_is_marked_is_what_a_recorded_rollout_calls_controlled(made: Film) -> None:
    game = make("discs/duel", 8)
    for casting, panel in zip(castings(game, "builtin:disc-early", "zero", "builtin:disc"), made.panels, strict=True):
        state, seen = start(game, casting.policies, _rng(SEED, 0)), []
        for t in range(len(panel.reel)):
            step, state = rollout(game, casting.policies, 1, _rng(SEED, t + 1), state, record=("disc1",))
            seen.append(bool(step.agents["disc1"].controlled[0][made.match]))
        np.testing.assert_array_equal(panel.controlled, seen)
        assert step.outcome is not None
        won = int(step.outcome["disc1"][0][made.match])
        assert panel.outcome.startswith({1: "attacker wins", -1: "victim wins", 0: "draw"}[won])


def test_the_mark_is_on_exactly_the_controlled_steps(made: Film) -> None:
    """A frame differs from the same one without marks in the panels that are controlled, and in no others."""
    marked = SideBySide(made.panels, rest=5)
    plain = SideBySide([replace(panel, controlled=np.zeros_like(panel.controlled)) for panel in made.panels], rest=5)
    height, width = marked[0].shape[0] // 2, marked[0].shape[1] // 2
    for t in range(len(marked)):
        differs = (marked[t] != plain[t]).any(axis=2)
        for number, panel in enumerate(made.panels):
            row, column = divmod(number, 2)
            part = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
            controlled = t < len(panel.reel) and bool(panel.controlled[t])
            assert differs[part].any() == controlled
            assert (tuple(marked[t][part][0, width // 2].tolist()) == MARK) == controlled


def test_a_match_that_is_over_keeps_its_last_picture_and_its_outcome(made: Film) -> None:
    frames = SideBySide(made.panels, rest=5)
    longest = max(len(panel.reel) for panel in made.panels)
    assert len(frames) == len(list(frames)) == longest + 5
    np.testing.assert_array_equal(frames[longest], frames[longest + 4])
    strip = caption(made.panels[0].name, made.panels[0].outcome, frames[0].shape[1] // 2)
    height = frames[0].shape[0] // 2
    np.testing.assert_array_equal(frames[longest][height - len(strip) : height, : strip.shape[1]], strip)
    last = made.panels[0].reel[len(made.panels[0].reel) - 1]
    left = (frames[0].shape[1] // 2 - last.shape[1]) // 2
    np.testing.assert_array_equal(frames[longest][: len(last), left : left + last.shape[1]], last)


def test_the_file_shows_all_of_it(made: Film) -> None:
    """Decoded, the border of the strongest attack's panel is red from its first to its last step, and no longer."""
    av = pytest.importorskip("av")
    assert made.suffix == ".mp4"
    with av.open(io.BytesIO(made.data)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    expected = SideBySide(made.panels, rest=20)
    assert len(frames) == len(expected) and frames[0].shape == expected[0].shape
    height, width = frames[0].shape[0] // 2, frames[0].shape[1] // 2
    red = [bool(np.abs(frame[height, width + width // 2].astype(int) - MARK).max() < 90) for frame in frames]
    steps = len(made.panels[3].reel)
    assert red == [True] * steps + [False] * (len(frames) - steps)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(made: Film) -> None:
    again = duel()
    assert again.data == made.data and again.match == made.match


@pytest.mark.slow
def test_a_users_function_is_filmed_with_its_marks() -> None:
    """What cannot run within JAX is played on the host; its coin is Eq. 3.2's as well."""

    def still(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.zeros((len(observation), 2), np.float32)

    def pushes(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.full((len(observation), 2), [1.0, 0.0], np.float32)

    game = make("discs/duel,limit=40", 2)
    played = [
        Casting(
            f"{b}", {"disc0": CallablePolicy(still), "disc1": mix(CallablePolicy(still), CallablePolicy(pushes), b)}
        )
        for b in (0.5, 1.0)
    ]
    found = film(game, played, ("disc1",), ("disc0",), SEED, match=1, size=SMALL)
    half, full = found.panels
    assert found.match == 1 and full.controlled.all() and 0 < half.controlled.mean() < 1


def test_the_median_win_of_a_watchable_length_is_chosen() -> None:
    length = np.array([10, 30, 50, 100, 200, 299, 0])
    won = np.array([True, True, False, True, True, False, False])
    # Of matches 1, 3 and 4; 0 is too short, 2 and 5 were not won, 6 is not over.
    assert _worth_watching(_Played(length, won)) == 3
    # Where none of them is long enough, a short win; where none is won, the median of the others; else the first.
    assert _worth_watching(_Played(np.array([0, 9, 40]), np.array([False, True, False]))) == 1
    assert _worth_watching(_Played(length, np.zeros(7, bool))) == 3
    assert _worth_watching(_Played(np.zeros(3, int), np.zeros(3, bool))) == 0


def test_an_attack_that_wins_nothing_is_filmed_all_the_same() -> None:
    game = make("discs/duel,limit=20", 8)
    found = film(game, castings(game, "builtin:disc", "zero", "zero")[-1:], ("disc1",), ("disc0",), SEED, size=SMALL)
    assert found.panels[0].outcome == "victim wins at step 20"


def test_a_game_that_cannot_draw_says_so() -> None:
    game = make("matrix/rps", 2)
    with pytest.raises(NoPicture, match="no picture: matrix/rps cannot draw itself"):
        film(game, castings(game, "first", "first", "first"), ("col",), ("row",), SEED)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"match": 2}, "match: expected 0 to 1, got 2"),
        ({"fps": 0}, "fps: expected 1 to 240, got 0"),
        ({"size": (8, 100)}, "size: expected width and height from 16 to 4096 pixels, got 8 100"),
        ({"suffix": ".gif"}, "expected a file that ends with .mp4 or .webp, got '.gif'"),
    ],
)
def test_bad_options_are_refused(bad: dict, message: str) -> None:
    game = make("discs/duel,limit=20", 2)
    with pytest.raises(InputError, match=message):
        film(game, castings(game, "zero", "zero", "zero")[:1], ("disc1",), ("disc0",), SEED, **{"match": 0, **bad})


def _robots() -> Film:
    opengl.needed()
    game = make("robosumo/ant-vs-ant,integrator=euler", 4)
    return film(game, castings(game, "random", "zero", "builtin:ant")[2:], ("ant1",), ("ant0",), SEED)


@pytest.mark.slow
def test_robots_are_filmed_in_panels_of_480_by_368() -> None:
    made = _robots()
    frame = SideBySide(made.panels)[0]
    assert frame.shape == (368 + len(caption("", "", 480)), 960, 3)
    assert made.panels[1].outcome.startswith("attacker wins") and 2_000 < len(made.data) < 4 * 2**20
    np.testing.assert_array_equal(made.panels[0].reel[0], made.panels[1].reel[0])
    assert _robots().data == made.data


@pytest.mark.slow
def test_a_hosted_game_and_the_game_itself_are_drawn_alike() -> None:
    game = make("discs/duel", 2)
    assert isinstance(game, FunctionalGame)
    played = castings(game, "zero", "zero", "random")[-1:]
    own = film(hosted(game), played, ("disc1",), ("disc0",), SEED, match=0, size=SMALL)
    assert own.panels[0].reel.shape == (128, 128, 3)


def test_three_panels_leave_a_white_corner() -> None:
    from sparring.report.panels import Reel

    panels = []
    for grey in (10, 20, 30):
        reel = Reel()
        for _ in range(2):
            reel.add(np.full((48, 63, 3), grey, np.uint8))
        panels.append(Panel(f"{grey}", np.zeros(2, bool), "over", reel))
    frame = SideBySide(panels)[1]
    strip = len(caption("", "", 64))
    assert frame.shape == (2 * (48 + strip), 128, 3)
    assert frame[20, 20, 0] == 10 and frame[20, 84, 0] == 20 and frame[48 + strip + 20, 20, 0] == 30
    assert (frame[48 + strip :, 64:] == 255).all()
