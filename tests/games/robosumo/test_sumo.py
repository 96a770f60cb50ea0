# MuJoCo is a compiled module without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.batch import SimulationError

from sparring.errors import InputError
from sparring.games.robosumo.settings import SumoSettings
from sparring.games.robosumo.sumo import RoboSumo
from sparring.types import Step, View

EULER = SumoSettings(integrator="euler")
ANTS = ("ant", "ant")
TIME = 1  # the first number of a physics row is the time, positions follow


def _zero(game: RoboSumo) -> dict[str, np.ndarray]:
    torques = {"ant": 8, "bug": 12, "spider": 16}
    return {a: np.zeros((game.num_games, torques[a[:-1]]), np.float32) for a in game.agents}


def _random(game: RoboSumo, t: int, scale: float = 0.3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(t)
    return {a: scale * rng.standard_normal(x.shape).astype(np.float32) for a, x in _zero(game).items()}


def _put(game: RoboSumo, match: int, qpos: dict[int, float] | None = None, steps: int | None = None) -> None:
    state = game.get_state()
    for index, value in (qpos or {}).items():
        state["physics"][match, TIME + index] = value
    if steps is not None:
        state["steps"][match] = steps
    game.set_state(state)


def _shown(views: Mapping[str, View]) -> dict[str, np.ndarray]:
    """The observations; nothing is hidden or illegal in this game, and both robots always move."""
    assert all(view.legal is view.moves is None for view in views.values())
    return {agent: view.observation for agent, view in views.items()}


def _result(step: Step, agent: str) -> list[int]:
    """1 won, -1 lost, 0 neither, of each match; what one wins the other loses."""
    assert step.outcome is not None
    ours, theirs = (step.outcome[name] for name in (agent, *(name for name in step.outcome if name != agent)))
    assert ours.dtype == np.int8 and (ours == -theirs).all()
    return ours.tolist()


def test_reset_follows_the_start_distribution() -> None:
    game = RoboSumo(ANTS, num_games=400, settings=EULER)
    seen = _shown(game.reset(3))
    assert (game._steps == 0).all()
    physics = game.get_state()["physics"]
    qpos, qvel = physics[:, TIME : TIME + 30], physics[:, TIME + 30 : TIME + 58]
    first, second = qpos[:, :3], qpos[:, 15:18]
    # Both lie on a circle of 1.15 m, opposite each other, at z = 1.25, each coordinate within 0.1.
    middle = (first + second) / 2
    assert np.abs(middle[:, :2]).max() <= 0.1
    assert np.abs(middle[:, 2] - 1.25).max() <= 0.1
    radius = np.linalg.norm(first[:, :2], axis=1)
    assert (np.abs(radius - 1.15) <= 0.1 * math.sqrt(2)).all()
    assert np.abs(first[:, 2] - 1.25).max() == pytest.approx(0.1, abs=0.005)
    angle = np.arctan2(first[:, 1], first[:, 0])
    quarters = np.histogram(angle, bins=4, range=(-np.pi, np.pi))[0]
    assert quarters.min() > 70  # of 100 expected each; 70 is 3.5 standard deviations off
    for torso in (3, 18):
        assert np.linalg.norm(qpos[:, torso : torso + 4], axis=1) == pytest.approx(1)
    hinges = np.concatenate([qpos[:, 7:15], qpos[:, 22:]], axis=1)
    assert np.abs(hinges).max() <= 0.1
    assert hinges.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.03)
    assert qvel.std() == pytest.approx(0.1, rel=0.03)
    assert seen["ant0"][:, 2] == pytest.approx(first[:, 2] - 0.5)
    assert seen["ant1"][:, 107:114] == pytest.approx(seen["ant0"][:, :7])


def test_every_episode_starts_differently_and_no_noise_adds_up() -> None:
    game = RoboSumo(ANTS, num_games=2, settings=EULER)
    game.reset(0)
    starts = []
    for _ in range(5):
        _put(game, 0, {0: 3.0})
        step = game.step(_zero(game))
        starts.append(step.view["ant0"].observation[0])
    starts = np.array(starts)
    assert len(np.unique(starts[:, 0])) == 5
    assert np.abs(starts[:, 7:15]).max() <= 0.1
    assert np.abs(np.linalg.norm(starts[:, :2], axis=1) - 1.15).max() <= 0.15


def test_a_step_is_five_physics_steps_with_forces_of_the_last_ones_start() -> None:
    game = RoboSumo(("ant", "spider"), num_games=2)
    game.reset(1)
    for _ in range(20):  # until they stand
        game.step(_zero(game))
    before = game.get_state()
    actions = _random(game, 99, scale=1.0)
    seen = _shown(game.step(actions).final_view)
    model, data = game.model, mujoco.MjData(game.model)
    for b in range(2):
        mujoco.mj_setState(model, data, before["physics"][b], mujoco.mjtState.mjSTATE_INTEGRATION)
        data.ctrl[:] = np.concatenate([actions["ant0"][b], actions["spider1"][b]])
        mujoco.mj_step(model, data, 4)
        at_last = mujoco.MjData(model)
        row = np.empty(before["physics"].shape[1])
        mujoco.mj_getState(model, data, row, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_setState(model, at_last, row, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(model, at_last)
        mujoco.mj_rnePostConstraint(model, at_last)
        mujoco.mj_step(model, data)
        forces = np.minimum(np.abs(at_last.cfrc_ext), 100).astype(np.float32)
        assert seen["ant0"][b, 29:107].tolist() == forces[1:14].ravel().tolist()
        assert seen["spider1"][b, 45:195].tolist() == forces[14:].ravel().tolist()
        assert seen["spider1"][b, 202:].tolist() == forces[1].tolist()
        assert seen["spider1"][b, 3:23].tolist() == data.qpos[18:].astype(np.float32).tolist()
        assert seen["ant0"][b, 15:29].tolist() == data.qvel[:14].astype(np.float32).tolist()
        assert forces[1:].max() > 1


def test_forces_off_are_zeros_and_change_nothing_else() -> None:
    on, off = (RoboSumo(ANTS, 2, settings=SumoSettings(contact_forces=c)) for c in (True, False))
    seen, blind = _shown(on.reset(5)), _shown(off.reset(5))
    for t in range(15):
        seen, blind = _shown(on.step(_random(on, t)).view), _shown(off.step(_random(off, t)).view)
        # A wrench of zeros in all 13 bodies, and the opponent's torso.
        assert not blind["ant0"][:, 29:107].any()
        assert not blind["ant0"][:, 114:].any()
        assert blind["ant0"][:, :29].tolist() == seen["ant0"][:, :29].tolist()
    assert seen["ant0"][:, 29:107].any()
    assert off.id == "robosumo/ant-vs-ant,contact_forces=off"


def test_rewards_by_hand_from_what_the_robots_saw() -> None:
    game = RoboSumo(ANTS, num_games=4)
    last = _shown(game.reset(2))
    for t in range(20):
        actions = _random(game, t, scale=0.8)
        step = game.step(actions)
        for me, other in (("ant0", "ant1"), ("ant1", "ant0")):
            for b in range(4):
                x, y = (float(v) for v in last[me][b, :2])
                nx, ny = (float(v) for v in step.final_view[me].observation[b, :2])
                ox, oy = (float(v) for v in step.final_view[other].observation[b, :2])
                distance = math.hypot(ox - x, oy - y)
                approach = ((nx - x) * (ox - x) + (ny - y) * (oy - y)) / distance
                ctrl = -0.1 * sum(float(a) ** 2 for a in actions[me][b])
                push = -10 * math.exp(-math.hypot(ox, oy))
                move = 2 * max(0.0, approach)
                assert step.info["approach"][me][b] == pytest.approx(approach, abs=1e-5)
                assert step.info["ctrl"][me][b] == pytest.approx(ctrl, rel=1e-5)
                main = sum(float(step.info[name][me][b]) for name in ("win", "lose", "draw"))
                assert step.reward[me][b] == pytest.approx(main + ctrl + push + move, abs=1e-3)
        last = _shown(step.view)


def test_leaving_the_ring_loses_and_the_next_match_starts() -> None:
    game = RoboSumo(ANTS, num_games=3, settings=EULER)
    before = _shown(game.reset(0))
    _put(game, 1, {15: 2.2, 16: 0.0})  # the second robot's x and y
    step = game.step(_zero(game))
    assert step.terminated.tolist() == [False, True, False]
    assert _result(step, "ant0") == [0, 1, 0]
    assert not step.truncated.any()
    assert not step.invalid.any()
    assert step.info["win"]["ant0"].tolist() == [0, 2000, 0]
    assert step.info["lose"]["ant1"].tolist() == [0, -2000, 0]
    assert step.info["lose"]["ant0"].tolist() == [0, 0, 0]
    assert step.final_view["ant1"].observation[1, 0] == pytest.approx(2.2, abs=0.05)
    assert abs(step.view["ant1"].observation[1, 0]) < 1.3
    assert step.view["ant1"].observation[1, 0] != before["ant1"][1, 0]
    for b in (0, 2):
        assert step.view["ant0"].observation[b].tolist() == step.final_view["ant0"].observation[b].tolist()


def test_a_sunken_torso_loses() -> None:
    # Without torque the spider sinks (after some 85 steps in the original) and the ant stands.
    game = RoboSumo(("spider", "ant"), num_games=2)
    game.reset(0)
    ends = []
    for t in range(130):
        step = game.step(_zero(game))
        heights = step.final_view["spider0"].observation[:, 2]
        assert ((heights < 0.29) == step.terminated).all()
        ends += [(t, won) for won, over in zip(_result(step, "ant1"), step.terminated, strict=True) if over]
    assert ends
    assert all(won == 1 for _, won in ends)
    assert 40 < np.mean([t for t, _ in ends]) < 130


def test_both_can_lose_at_once_and_nobody_wins() -> None:
    game = RoboSumo(ANTS, settings=EULER)
    game.reset(0)
    _put(game, 0, {0: 2.5, 15: -2.5})
    step = game.step(_zero(game))
    assert step.terminated.all()
    assert _result(step, "ant0") == [0]
    for agent in game.agents:
        assert step.info["win"][agent] + step.info["lose"][agent] == 0
        assert step.info["win"][agent] == 2000


def test_the_501st_step_is_a_draw_for_those_who_stand() -> None:
    game = RoboSumo(ANTS, num_games=3, settings=EULER)
    game.reset(0)
    _put(game, 0, steps=499)
    _put(game, 1, steps=500)
    _put(game, 2, {0: 2.5}, steps=500)
    step = game.step(_zero(game))
    assert step.truncated.tolist() == [False, True, False]
    assert step.terminated.tolist() == [False, False, True]
    assert _result(step, "ant1") == [0, 0, 1]
    assert step.info["draw"]["ant0"].tolist() == [0, -1000, -1000]
    main = step.info["win"]["ant1"] + step.info["lose"]["ant1"] + step.info["draw"]["ant1"]
    assert main.tolist() == [0, -1000, 1000]
    assert game.step(_zero(game)).truncated.tolist() == [True, False, False]


@pytest.mark.long
@pytest.mark.parametrize(("body", "height"), [("ant", 0.372), ("bug", 0.41)])
def test_robots_without_torque_stand_until_the_draw(body: str, height: float) -> None:
    # RoboSumo's ant and bug stand still to the 501-step draw; torsos at .37 and .35 to .46 above the mat.
    game = RoboSumo((body, body), num_games=4)
    game.reset(0)
    for t in range(501):
        step = game.step(_zero(game))
        assert step.truncated.tolist() == [t == 500] * 4
    assert step.final_view[game.agents[0]].observation[:, 2].mean() == pytest.approx(height, abs=0.06)


@pytest.mark.parametrize(
    ("index", "value"),
    [(1 + 30 + 8, 1e11), (1 + 30 + 3, np.nan), (1 + 7, np.nan), (1 + 30 + 20, 3e9)],
    ids=["velocity", "velocity is NaN", "position is NaN", "acceleration"],
)
def test_broken_physics_is_cut_off_and_counted_apart(
    index: int, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    game, sound = RoboSumo(ANTS, 4, threads=2), RoboSumo(ANTS, 4, threads=2)
    first = _shown(game.reset(0))
    sound.reset(0)
    state = game.get_state()
    state["physics"][2, index] = value
    game.set_state(state)
    step, expected = game.step(_zero(game)), sound.step(_zero(game))
    assert step.invalid.tolist() == [False, False, True, False]
    assert not step.terminated.any()
    assert not step.truncated.any()
    assert _result(step, "ant0") == [0] * 4
    for agent in game.agents:
        assert step.reward[agent][2] == 0
        assert step.final_view[agent].observation[2].tolist() == first[agent][2].tolist()
        assert np.isfinite(step.view[agent].observation).all()
        assert np.abs(step.view[agent].observation[2, :2]).max() < 1.3
        for b in (0, 1, 3):
            assert step.view[agent].observation[b].tolist() == expected.view[agent].observation[b].tolist()
    assert not game.step(_zero(game)).invalid.any()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_broken_controls_are_invalid_and_absurd_ones_are_clamped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    game, clamped = RoboSumo(ANTS, 3, threads=2), RoboSumo(ANTS, 3, threads=2)
    game.reset(0)
    clamped.reset(0)
    actions, limits = _zero(game), _zero(game)
    actions["ant0"][1], limits["ant0"][1] = 1e12, 1
    step, expected = game.step(actions), clamped.step(limits)
    assert not step.invalid.any()
    assert step.view["ant0"].observation.tolist() == expected.view["ant0"].observation.tolist()
    actions["ant0"][1] = np.nan
    assert game.step(actions).invalid.tolist() == [False, True, False]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_number_of_threads_changes_nothing() -> None:
    one, two = RoboSumo(ANTS, 6, threads=1, settings=EULER), RoboSumo(ANTS, 6, threads=2, settings=EULER)
    assert one.reset(4)["ant0"].observation.tolist() == two.reset(4)["ant0"].observation.tolist()
    for t in range(60):
        a, b = one.step(_random(one, t)), two.step(_random(two, t))
        assert a.view["ant1"].observation.tolist() == b.view["ant1"].observation.tolist()
        assert a.reward["ant0"].tolist() == b.reward["ant0"].tolist()


def test_seeds_differ() -> None:
    game = RoboSumo(ANTS)
    one, two, last = (_shown(game.reset(seed))["ant0"] for seed in (0, 1, 2**64 - 1))
    assert (one != two)[:, :29].all()
    assert last.tolist() == _shown(game.set_state(game.get_state()))["ant0"].tolist()


def test_bad_calls_are_refused() -> None:
    game = RoboSumo(ANTS, 2)
    with pytest.raises(InputError, match="step before reset"):
        game.step(_zero(game))
    with pytest.raises(InputError, match="no state before reset"):
        game.get_state()
    with pytest.raises(InputError, match="expected a seed"):
        game.reset(-1)
    game.reset(0)
    with pytest.raises(InputError, match="no action for ant1"):
        game.step({"ant0": np.zeros((2, 8))})
    with pytest.raises(InputError, match=r"action of ant1: expected shape \[2, 8\], got \[8\]"):
        game.step({"ant0": np.zeros((2, 8)), "ant1": np.zeros(8)})
    state = RoboSumo(ANTS, 3)
    state.reset(0)
    with pytest.raises(InputError, match="state 'physics': expected shape"):
        game.set_state(state.get_state())
    with pytest.raises(InputError, match=r"state 'seed'.*got nothing"):
        game.set_state({"physics": game.get_state()["physics"]})


def test_matches_in_which_mujoco_raises_are_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    # No state is known that makes MuJoCo raise here, so the error is put in after a sound step.
    game = RoboSumo(ANTS, 3, settings=EULER)
    game.reset(0)
    step = game.batch.step

    def fail(nstep: int) -> None:
        step(nstep=nstep)
        raise SimulationError(np.array([0, 2]), "stack overflow")

    monkeypatch.setattr(game.batch, "step", fail)
    assert game.step(_zero(game)).invalid.tolist() == [True, False, True]
    monkeypatch.undo()
    assert not game.step(_zero(game)).invalid.any()
