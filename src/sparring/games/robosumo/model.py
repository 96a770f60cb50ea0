"""The RoboSumo scene (Al-Shedivat et al. 2017), built with MuJoCo's `MjSpec`.

Two robots stand on a square mat, the tatami, whose top is at z = 0.5 m. Lengths are metres, densities kg/m^3.
"""

# MuJoCo is a compiled module without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from typing import Any

import mujoco

from sparring.games.robosumo.bodies import BODIES, Body
from sparring.games.robosumo.settings import MAT_HEIGHT, SumoSettings

TIMESTEP = 0.01  # s
FRAME_SKIP = 5  # physics steps per control step
GEAR = 150.0  # N m at full action
TORSO_RADIUS = 0.25
PICTURE_SIZE = (640, 480)  # pixels, width and height

_SLIDING = (1.0, 0.1, 0.1)  # friction of floor and tatami: sliding, torsional, rolling
_ROBOT_FRICTION = (1.0, 0.5, 0.5)
_COLOURS = ((0.5, 0.25, 0.25, 1.0), (0.25, 0.5, 0.5, 1.0))


def build(bodies: tuple[str, str], settings: SumoSettings) -> mujoco.MjModel:
    """The compiled scene: floor, tatami, border, then the two robots, named `ant0/...`, `bug1/...`.

    Args:
      bodies: keys of `BODIES`.
      settings: what differs from the original game.
    """
    spec = mujoco.MjSpec()
    spec.compiler.degree = True
    spec.option.timestep = TIMESTEP
    rk4, euler = mujoco.mjtIntegrator.mjINT_RK4, mujoco.mjtIntegrator.mjINT_EULER
    spec.option.integrator = euler if settings.integrator == "euler" else rk4
    # Dense is what "auto" picks at this size; said aloud because MuJoCo 4.0.0's sparse factorisation has a bug.
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    _add_scenery(spec)
    _add_ring(spec, settings.tatami_size)
    for index, name in enumerate(bodies):
        _add_robot(spec, f"{name}{index}", BODIES[name], settings.density(name), index)
    if settings.contact_forces:
        # MuJoCo fills `cfrc_ext` only for sensors that need it; then at the first stage of every step, as of old.
        site = spec.worldbody.add_site(name="center", rgba=(0, 0, 0, 0))
        spec.add_sensor(
            name="force_trigger",
            type=mujoco.mjtSensor.mjSENS_ACCELEROMETER,
            objtype=mujoco.mjtObj.mjOBJ_SITE,
            objname=site.name,
        )
    return spec.compile()


def _add_scenery(spec: mujoco.MjSpec) -> None:
    spec.visual.global_.offwidth, spec.visual.global_.offheight = PICTURE_SIZE
    # Smooth edges would take four times as long without a GPU.
    spec.visual.quality.offsamples = 0
    spec.visual.headlight.ambient[:] = 0.35
    spec.visual.headlight.diffuse[:] = 0.35
    spec.visual.headlight.specular[:] = 0.1
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=(0.8, 0.8, 1.0),
        rgb2=(0, 0, 0),
        width=128,
        height=768,
    )
    spec.worldbody.add_light(
        name="lamp",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=(0, 0, 6),
        dir=(0.2, 0.3, -1),
        diffuse=(0.6, 0.6, 0.6),
        specular=(0.2, 0.2, 0.2),
    )


def _add_ring(spec: mujoco.MjSpec, size: float) -> None:
    world, geom = spec.worldbody, mujoco.mjtGeom
    world.add_geom(
        name="floor",
        type=geom.mjGEOM_PLANE,
        pos=(0, 0, -0.025),
        size=(0, 0, 1),  # endless
        friction=_SLIDING,
        rgba=(0.2, 0.2, 0.2, 1),
    )
    edge = size + 0.3
    world.add_geom(
        name="tatami",
        type=geom.mjGEOM_BOX,
        pos=(0, 0, MAT_HEIGHT / 2),
        size=(edge, edge, MAT_HEIGHT / 2),
        friction=_SLIDING,
        rgba=(0.65, 0.57, 0.31, 1),
    )
    corners = {
        "top": ((-size, size), (size, size)),
        "right": ((size, -size), (size, size)),
        "bottom": ((-size, -size), (size, -size)),
        "left": ((-size, -size), (-size, size)),
    }
    for name, (start, end) in corners.items():
        world.add_geom(
            name=f"border_{name}",
            type=geom.mjGEOM_CYLINDER,
            fromto=(*start, MAT_HEIGHT, *end, MAT_HEIGHT),
            size=(0.03, 0, 0),
            rgba=(0.18, 0.23, 0.38, 1),
        )


def _add_robot(spec: mujoco.MjSpec, scope: str, body: Body, density: float, index: int) -> None:
    look = {"friction": _ROBOT_FRICTION, "margin": 0.01, "rgba": _COLOURS[index]}
    torso = spec.worldbody.add_body(name=f"{scope}/torso", pos=(1.5 - 3 * index, 0, 0.75))
    torso.add_freejoint(name=f"{scope}/root")
    torso.add_geom(
        name=f"{scope}/torso", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(TORSO_RADIUS, 0, 0), density=density, **look
    )
    leg_density = density if body.leg_density is None else body.leg_density
    for number, leg in enumerate(body.legs, start=1):
        parent, start = torso, (0.0, 0.0, 0.0)
        joints = (
            None,
            (f"hip_{number}", (0, 0, 1), (-body.hip_range, body.hip_range)),
            (f"ankle_{number}", leg.ankle_axis, leg.ankle_range),
        )
        names = (leg.name, f"aux_{number}1", f"aux_{number}2")
        for name, end, joint in zip(names, leg.ends, joints, strict=True):
            parent = parent.add_body(name=f"{scope}/{name}", pos=start)
            start = end
            if joint is not None:
                _add_motor(spec, parent, scope, *joint)
            parent.add_geom(
                name=f"{scope}/{name}",
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=(0, 0, 0, *end),
                size=(body.radius, 0, 0),
                density=leg_density,
                **look,
            )


def _add_motor(spec: mujoco.MjSpec, body: Any, scope: str, name: str, axis: Any, span: Any) -> None:
    body.add_joint(
        name=f"{scope}/{name}",
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=axis,
        range=span,
        limited=True,
        armature=1,
        damping=1,
    )
    spec.add_actuator(
        name=f"{scope}/{name}",
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        target=f"{scope}/{name}",
        gear=(GEAR, 0, 0, 0, 0, 0),
        ctrllimited=True,
        ctrlrange=(-1, 1),
    )
