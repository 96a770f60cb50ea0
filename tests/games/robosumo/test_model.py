"""Numbers are those of RoboSumo (Al-Shedivat et al. 2017), masses with MuJoCo's exact capsules (2.1.2 and later)."""

# MuJoCo is a compiled module without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.robosumo.bodies import BODIES
from sparring.games.robosumo.model import build
from sparring.games.robosumo.observation import size
from sparring.games.robosumo.settings import SumoSettings, format_settings, parse_settings


@pytest.mark.parametrize(
    ("first", "second", "nq", "nv", "nu", "nbody", "ngeom", "mass"),
    [
        ("ant", "ant", 30, 28, 16, 27, 32, 4.73658),
        ("ant", "bug", 34, 32, 20, 33, 38, 4.67795),
        ("ant", "spider", 38, 36, 24, 39, 44, 5.19741),
        ("bug", "ant", 34, 32, 20, 33, 38, 4.67795),
        ("bug", "bug", 38, 36, 24, 39, 44, 4.61932),
        ("bug", "spider", 42, 40, 28, 45, 50, 5.13879),
        ("spider", "ant", 38, 36, 24, 39, 44, 5.19741),
        ("spider", "bug", 42, 40, 28, 45, 50, 5.13879),
        ("spider", "spider", 46, 44, 32, 51, 56, 5.65825),
    ],
)
def test_sizes_and_masses(
    first: str, second: str, nq: int, nv: int, nu: int, nbody: int, ngeom: int, mass: float
) -> None:
    model = build((first, second), SumoSettings())
    assert (model.nq, model.nv, model.nu, model.nbody, model.ngeom) == (nq, nv, nu, nbody, ngeom)
    assert model.body_mass.sum() == pytest.approx(mass, abs=1e-5)
    assert sum(BODIES[body].nbody for body in (first, second)) == nbody - 1
    assert sum(BODIES[body].nq for body in (first, second)) == nq


@pytest.mark.parametrize(
    ("body", "torso", "legs", "total"),
    [
        ("ant", 0.850848, {(1, 2, 3, 4): (0.101810, 0.101810, 0.175740)}, 2.368288),
        ("bug", 0.654498, {(1, 2, 5, 6): (0.077825, 0.077825, 0.122927), (3, 4): (0.061659, 0.076739, 0.132031)},
         2.309661),
        ("spider", 2.552544, {(1, 2, 5, 6): (0.007621, 0.006995, 0.019933), (3, 4, 7, 8): (0.007630, 0.007021,
         0.019946)}, 2.829124),
    ],
)  # fmt: skip
def test_masses_of_the_parts(
    body: str, torso: float, legs: dict[tuple[int, ...], tuple[float, ...]], total: float
) -> None:
    masses = build((body, body), SumoSettings()).body_mass[1 : 1 + BODIES[body].nbody]
    assert masses[0] == pytest.approx(torso, abs=1e-6)
    assert masses.sum() == pytest.approx(total, abs=2e-6)
    for numbers, parts in legs.items():
        for leg in numbers:
            assert masses[3 * leg - 2 : 3 * leg + 1] == pytest.approx(parts, abs=1e-6)


def test_physics_settings() -> None:
    model = build(("ant", "spider"), SumoSettings())
    option = model.opt
    assert (option.timestep, option.integrator) == (0.01, mujoco.mjtIntegrator.mjINT_RK4)
    assert option.jacobian == mujoco.mjtJacobian.mjJAC_DENSE
    assert (option.cone, option.solver) == (mujoco.mjtCone.mjCONE_PYRAMIDAL, mujoco.mjtSolver.mjSOL_NEWTON)
    assert option.gravity.tolist() == [0, 0, -9.81]
    hinges = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE
    assert hinges.sum() == model.nu
    hinge_dofs = model.jnt_dofadr[hinges]
    assert (model.dof_armature[hinge_dofs] == 1).all()
    assert (model.dof_damping[hinge_dofs] == 1).all()
    assert model.dof_armature.sum() == model.dof_damping.sum() == model.nu
    assert (model.actuator_gear[:, 0] == 150).all()
    assert (model.actuator_ctrlrange == (-1, 1)).all()
    assert model.actuator_ctrllimited.all()
    assert (model.actuator_trnid[:, 0] == np.flatnonzero(hinges)).all()
    degrees = np.rad2deg(model.jnt_range[hinges])
    assert degrees[0].tolist() == pytest.approx([-30, 30])
    assert degrees[1].tolist() == pytest.approx([-70, -30])
    assert degrees[3].tolist() == pytest.approx([30, 70])
    assert degrees[8].tolist() == pytest.approx([-20, 20])  # the spider's first hip
    assert degrees[9].tolist() == pytest.approx([-35, 45])


def test_scene() -> None:
    model = build(("ant", "bug"), SumoSettings())
    names = [model.geom(i).name for i in range(7)]
    assert names == ["floor", "tatami", "border_top", "border_right", "border_bottom", "border_left", "ant0/torso"]
    assert model.geom("tatami").size.tolist() == [2.3, 2.3, 0.25]
    assert model.geom("tatami").pos[2] + model.geom("tatami").size[2] == 0.5
    assert model.geom("floor").pos[2] == -0.025
    assert model.geom("border_left").pos.tolist() == [-2, 0, 0.5]
    assert model.geom("border_top").size[:2].tolist() == [0.03, 2]
    assert model.geom("bug1/torso").friction.tolist() == [1, 0.5, 0.5]
    assert model.geom("bug1/aux_62").margin == 0.01
    assert (model.geom_contype == 1).all()
    assert (model.geom_condim == 3).all()
    assert model.qpos0[:3].tolist() == [1.5, 0, 0.75]
    assert model.qpos0[15:18].tolist() == [-1.5, 0, 0.75]
    assert [model.body(i).name for i in range(1, 5)] == [
        "ant0/torso",
        "ant0/front_left_leg",
        "ant0/aux_11",
        "ant0/aux_12",
    ]
    assert [model.joint(i).name for i in range(3)] == ["ant0/root", "ant0/hip_1", "ant0/ankle_1"]


def test_tatami_size_moves_the_border() -> None:
    model = build(("ant", "ant"), SumoSettings(tatami_size=3.0))
    assert model.geom("tatami").size[0] == pytest.approx(3.3)
    assert model.geom("border_right").pos.tolist() == [3, 0, 0.5]
    assert model.geom("border_right").size[1] == 3


def test_density_of_a_spider_changes_its_torso_alone() -> None:
    usual, light = (build(("spider", "ant"), SumoSettings(spider_density=d)).body_mass for d in (39.0, 19.5))
    assert light[1] == pytest.approx(usual[1] / 2)
    assert light[2:].tolist() == usual[2:].tolist()


def test_every_size_of_an_observation() -> None:
    assert {name: size(body) for name, body in BODIES.items()} == {"ant": 120, "bug": 164, "spider": 208}


def test_settings_from_options_and_back() -> None:
    options = {"contact_forces": "off", "adjust_z": "0", "integrator": "euler", "ant_density": "12.5"}
    settings = parse_settings(options)
    assert settings == SumoSettings(contact_forces=False, adjust_z=0.0, integrator="euler", ant_density=12.5)
    assert format_settings(settings) == ",contact_forces=off,adjust_z=0,integrator=euler,ant_density=12.5"
    assert format_settings(parse_settings({"contact_forces": "on", "tatami_size": "2"})) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"integratr": "euler"}, "unknown robosumo option 'integratr': did you mean integrator"),
        ({"integrator": "rk45"}, "did you mean rk4"),
        ({"contact_forces": "yes"}, "expected on or off, got 'yes'"),
        ({"tatami_size": "big"}, "tatami_size: expected a number, got 'big'"),
        ({"tatami_size": "1"}, "expected 1.5 to 100 metres, got 1.0"),
        ({"adjust_z": "nan"}, "expected a finite height"),
        ({"bug_density": "-1"}, "bug_density: expected 0.1 to 10000"),
        ({"spider_density": "nan"}, "spider_density: expected 0.1 to 10000"),
    ],
)
def test_bad_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_settings(options)
