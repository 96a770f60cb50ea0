from __future__ import annotations

import jax
import numpy as np
import pytest

from sparring import games
from sparring.errors import InputError
from sparring.games.robosumo.sumo import RoboSumo
from sparring.loaders import load, native
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, in_frame

BUGS = RoboSumo(("bug", "bug"))


@pytest.fixture(scope="module")
def bug(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("policy") / "bug.safetensors"
    native.save(actor_critic(BUGS.spaces["bug0"], NetworkConfig(hidden=(8,)), np.array([1, 2], np.uint32)), path)
    return f"native:{path}"


@pytest.mark.slow
def test_the_policy_is_put_into_the_view_asked_for(bug: str) -> None:
    loaded, plain = load(f"in-view:3:{bug}", BUGS, "bug1"), load(bug, BUGS, "bug1")
    assert isinstance(plain, ActorCritic) and isinstance(loaded, ActorCritic)
    frame = games.frame("robosumo-bug")
    assert loaded.frame == frame
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded, in_frame(plain, frame, 3)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("in-view:bug", "expected in-view:NUMBER:POLICY"),
        ("in-view:-1:zero", "expected in-view:NUMBER:POLICY"),
        ("in-view:0:zero", "expected a policy with weights, got ConstantPolicy"),
        ("in-view:4:{bug}", "choice from 0 to 3, got a network without one and choice 4"),
        ("in-view:0:in-view:0:{bug}", "acts alike in all kinds of situation already: use in-view:0:native"),
    ],
)
def test_what_has_no_view_is_refused_in_one_line(bug: str, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(spec.format(bug=bug), BUGS, "bug0")
    assert "\n" not in str(error.value)
