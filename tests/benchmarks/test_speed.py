# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import speed
import speed_sections

TINY = speed_sections.Scale(steps=2, warmup=1, repeats=2, threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("section", ["a", "b"])
def test_a_section_yields_a_warm_up_and_its_turns(section: str) -> None:
    for turns in speed.variants(section, TINY).values():
        seconds = list(turns)
        assert len(seconds) == 1 + TINY.repeats
        assert min(seconds) > 0


@pytest.mark.slow
def test_both_sides_learn_and_a_pool_fills() -> None:
    turns = list(speed_sections.both_sides(64, TINY, snapshots=3))
    assert len(turns) == 1 + 3 and min(turns) > 0


@pytest.mark.long
def test_memory_is_that_of_a_process_of_its_own() -> None:
    kept = bytearray(800 * 2**20)
    kept[::4096] = b"x" * len(kept[::4096])  # touched, so that this process has it
    assert 100 < speed.peak_memory("pool", 1, quick=True) < 800


@pytest.mark.long
def test_both_ways_of_physics_alone_compute_the_same() -> None:
    # 40 steps are long enough for matches to end and start anew.
    batch, rollout = speed_sections.BatchPhysics(1), speed_sections.RolloutPhysics(1)
    restarted = 0
    for _ in range(40):
        batch.step()
        rollout.step()
        restarted += int((batch.matches.age == 0).sum())
        np.testing.assert_array_equal(batch.matches.age, rollout.matches.age)
    assert restarted
    np.testing.assert_allclose(batch.qpos, rollout.qpos, atol=1e-6)


@pytest.mark.long
def test_the_split_of_training_adds_up() -> None:
    parts = speed.split_of(64, replace(TINY, repeats=1))
    assert set(parts) == {"physics", "inference", "update", "rest"}
    assert sum(parts.values()) == pytest.approx(1)
    assert min(parts.values()) > 0


def test_ratios_are_of_sections_that_were_measured() -> None:
    ratios = speed.compare({"a": {"best": 4000.0}, "b": {"best": 3000.0}, "c-64": {"best": 3000.0}})
    assert [(r["ratio"], r["value"]) for r in ratios] == [("b / a", 0.75), ("c-64 / a", 0.75)]


def test_a_missed_target_is_said() -> None:
    rates = {name: {"best": rate, "median": rate, "variant": ""} for name, rate in (("a", 100.0), ("b", 80.0))}
    results = {
        "rates": rates,
        "ratios": speed.compare(rates),
        "split": {},
        "memory_mb": {"memory": 1600.0, "pool": 1999.0},
    }
    text = speed.report(results)
    assert "b / a: 0.80, target at least 0.9: MISSED" in text
    assert "memory: 1600 MB, limit 1500: TOO MUCH" in text and text.endswith("pool: 1999 MB, limit 2000")


def test_the_light_actor_is_the_networks_policy() -> None:
    victim, _, _ = speed_sections.networks()
    observation = 3 * np.random.default_rng(0).standard_normal(120).astype(np.float32)
    head, _, _ = victim.forward(victim.normalizer(observation[None]), victim.initial_state(1))
    noise = np.random.default_rng(1).standard_normal(8)
    chosen = speed_sections.Actor(victim)(observation, np.random.default_rng(1))
    np.testing.assert_allclose(chosen - noise, np.asarray(head[0]), atol=1e-5)
    assert jax.numpy.exp(victim.log_std).tolist() == [1.0] * 8


@pytest.mark.filterwarnings("ignore:.*Box observation space:UserWarning")
def test_the_single_agent_task_is_a_sound_environment() -> None:
    victim, benign, _ = speed_sections.networks()
    task = speed_sections.AttackerTask(speed_sections.Actor(victim), speed_sections.Actor(benign))
    check_env(task, skip_render_check=True)
    _, _ = task.reset(seed=0)
    total, ended = 0.0, False
    while not ended:
        _, reward, terminated, truncated, _ = task.step(np.zeros(8, np.float32))
        total, ended = total + reward, terminated or truncated
    # A decided match is worth a win or a loss, +-2000 for the victim, and a little more.
    assert abs(total) > 0.4


def test_an_unknown_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.main(["--only", "f"])
    assert "expected some of a,b,c-2048" in capsys.readouterr().err
