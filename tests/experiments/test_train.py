"""The program that trains RoboSumo's variants, on a few rounds of tiny ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.robosumo import train as program
from experiments.robosumo.train import curve, train, trained
from experiments.robosumo.variants import VARIANTS, chosen
from sparring.attacks.adversarial_policy import AttackConfig
from sparring.console import BAD_INPUT
from sparring.defences.self_play import SelfPlayConfig
from sparring.errors import InputError
from sparring.games import frame
from sparring.loaders import native
from sparring.runs import read_status

EARLY = "results/robosumo-learning/early-ant.safetensors"  # an ant without the symmetry


def test_what_is_asked_for_besides() -> None:
    attack = chosen("attack", 100_000, victim="native:ant.safetensors", budget=0.3)
    assert (attack.victim, attack.benign, attack.start) == ("native:ant.safetensors", "native:ant.safetensors", "")
    assert attack.game == "robosumo/ant-vs-ant,integrator=euler"
    assert isinstance(attack.config, AttackConfig)
    assert (attack.budget, attack.config.start, attack.config.steps) == (0.3, "benign", 100_000)
    assert attack.config.ppo.decay_updates == 13
    own = chosen("attack", 100, body="bug", benign="in-view:2:builtin:bug")
    assert (own.victim, own.benign) == ("builtin:bug", "in-view:2:builtin:bug")
    stronger = chosen("attack", 100, start="native:strong.safetensors").config
    assert isinstance(stronger, AttackConfig) and stronger.start == "native:strong.safetensors"
    bug = chosen("self-play-scratch", 100_000, body="bug")
    assert (bug.victim, bug.start, bug.game) == ("", "", "robosumo/bug-vs-bug,integrator=euler")
    assert bug.config.ppo.network.frame == frame("robosumo-bug") and bug.config.reward.shaping_steps == 20_000
    on = chosen("self-play-low", 100_000, body="spider", start="builtin:ant").config
    assert on.reward.shaping_steps == 60_000  # it goes on from weights that fight already
    new = chosen("attack-scratch", 100_000, body="bug", victim="native:ant.safetensors").config
    assert isinstance(new, AttackConfig) and isinstance(bug.config, SelfPlayConfig)
    assert (new.start, new.ppo.network, new.reward) == ("scratch", bug.config.ppo.network, bug.config.reward)


@pytest.mark.parametrize(
    ("variant", "besides", "message"),
    [
        ("atack", {}, "unknown variant 'atack': did you mean attack"),
        ("self-play", {}, "self-play: needs start"),
        ("self-play-scratch", {"start": "builtin:ant"}, "self-play-scratch: takes no start"),
        ("attack-scratch", {"start": "builtin:ant"}, "attack-scratch: takes no start"),
        ("sparring", {"start": "builtin:ant"}, "sparring: needs a partner"),
        ("self-play", {"start": "builtin:ant", "partner": "zero"}, "self-play: takes no partner"),
        ("attack", {"partner": "zero"}, "attack: takes no partner"),
    ],
)
def test_what_does_not_go_together_is_refused(variant: str, besides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen(variant, 32, **besides)


def test_sparring_is_self_play_that_meets_somebody_else_too() -> None:
    sparring = chosen("sparring", 100_000, body="bug", start="builtin:bug", partner="native:strong.safetensors")
    assert sparring.partner == "native:strong.safetensors" and sparring.victim == ""
    assert isinstance(sparring.config, SelfPlayConfig) and sparring.config.sparring > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["quite"], "unknown variant 'quite': did you mean quiet?"),
        (
            ["attack", "--body", "ent"],
            "unknown robosumo game 'ent-vs-ent': did you mean ant-vs-ant or spider-vs-ant or ant-vs-spider?",
        ),
        (["self-play"], "self-play: needs start: whose weights it goes on from"),
        (["self-play", "--start", "zero"], "start: zero has no weights of this package's kind"),
        (["attack", "--budget", "1.3"], "budget: expected a probability in [0, 1] (epsilon of Eq. 3.2), got 1.3"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([*words, "--out", str(tmp_path / "run")]) == BAD_INPUT
    assert capsys.readouterr().err == f"experiments.robosumo.train: {message}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.usefixtures("tiny")
def test_an_attack_says_how_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "run"
    start = f"in-view:1:native:{EARLY}"
    train("tiny-attack", chosen("tiny-attack", 64, budget=0.5, start=start), 5, out, 1)
    assert read_status(out)["state"] == "done"
    network, row = trained(out)
    saved, meta = native.read(out / "policy.safetensors")
    assert saved.frame == network.frame == frame("robosumo-ant")
    np.testing.assert_array_equal(saved.log_std, network.log_std)
    assert meta["provenance"]["command"] == row["command"] and str(tmp_path) not in row["command"]
    assert row["command"].endswith(f"--victim builtin:ant --budget 0.5 --start {start}")
    assert row["steps"] == 64 and row["settings"]["config"]["ppo"]["decay_updates"] == 2


@pytest.mark.long
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("name", "partner"), [("tiny-self-play", ""), ("tiny-sparring", "builtin:ant-attack-1")])
def test_self_play_goes_on_from_where_it_was(name: str, partner: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(name, chosen(name, 64, start="builtin:ant", partner=partner), 5, out, 1)
    first = (out / "policy.safetensors").read_bytes()
    command = trained(out)[1]["command"]
    assert command.endswith(f"--start builtin:ant --partner {partner}" if partner else "--start builtin:ant")
    train(name, chosen(name, 64, start="builtin:ant", partner=partner), 5, out, 1)
    assert (out / "policy.safetensors").read_bytes() == first


@pytest.mark.usefixtures("tiny")
@pytest.mark.long
def test_a_run_of_another_version_of_a_variant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("tiny-attack", chosen("tiny-attack", 32), 5, tmp_path / "run", 1)
    variant = VARIANTS["tiny-attack"]
    monkeypatch.setitem(VARIANTS, "tiny-attack", replace(variant, config=replace(variant.config, num_games=8)))
    with pytest.raises(InputError, match="other settings when it was trained"):
        trained(tmp_path / "run")


def test_a_curve_counts_every_match_once() -> None:
    events = [{"steps": 10 * i, "sides": {"self": {"win": i % 3, "draw": 1, "loss": 2}}} for i in range(1, 8)]
    points = curve(events, 3)
    assert [p[0] for p in points] == [30, 50, 70]
    assert points[0][1] == pytest.approx(3 / 12) and points[0][2] < points[0][1] < points[0][3]
    assert curve([]) == []
