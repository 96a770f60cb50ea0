"""Pictures of RoboSumo matches without a screen."""

# MuJoCo is a compiled module without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import ctypes.util
import os
import weakref
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from sparring.errors import NoPicture
from sparring.games.pictures import check_size
from sparring.games.robosumo.model import PICTURE_SIZE

if TYPE_CHECKING:
    from sparring.games.robosumo.sumo import RoboSumo


def frame(game: RoboSumo, match: int = 0, size: tuple[int, int] | None = None) -> np.ndarray:
    """The match as the camera sees it now, `uint8 [H, W, 3]`.

    Uses the OpenGL that `MUJOCO_GL` names; if it is not set, EGL, or OSMesa where there is no EGL.

    Args:
      game: the matches.
      match: which of them.
      size: width W and height H in pixels; None: `PICTURE_SIZE`.

    Raises:
      NoPicture: there is no OpenGL to draw with.
      InputError: it is no size of a picture.
    """
    size = PICTURE_SIZE if size is None else size
    check_size(size)
    if game not in _painters:
        _painters[game] = _Painter(game.model, game.settings.tatami_size)
    return _painters[game].paint(game.batch.get_data(match), size)


class _Painter:
    """An OpenGL context and all that MuJoCo keeps in it: made once a game, for it takes a good part of a second.

    `mujoco.Renderer` is not used because it draws with what `MUJOCO_GL` was when MuJoCo was imported.
    """

    def __init__(self, model: mujoco.MjModel, tatami_size: float) -> None:
        self._model = model
        self._gl = _open_gl()
        self._gl.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=200)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = False  # without a GPU each doubles the time
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.lookat[:] = 0, 0, 0.4
        self._camera.distance = 3 * tatami_size
        self._camera.azimuth, self._camera.elevation = 90, -25
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        # At exit the process gives everything back by itself, and EGL has closed its display before this could run.
        weakref.finalize(self, _free, self._gl, self._context).atexit = False

    def paint(self, data: mujoco.MjData, size: tuple[int, int]) -> np.ndarray:
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        self._gl.make_current()
        width, height = size
        if width > self._context.offWidth or height > self._context.offHeight:
            mujoco.mjr_resizeOffscreen(width, height, self._context)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._context)
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, area, self._context)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL counts rows from below


_painters: weakref.WeakKeyDictionary[RoboSumo, _Painter] = weakref.WeakKeyDictionary()


def _open_gl() -> Any:
    try:
        if os.environ.get("MUJOCO_GL"):
            context = mujoco.GLContext
        elif ctypes.util.find_library("EGL"):
            from mujoco.egl import GLContext as context
        elif ctypes.util.find_library("OSMesa"):
            from mujoco.osmesa import GLContext as context
        else:
            raise NoPicture("no picture: neither EGL nor OSMesa is installed; on Debian: apt install libegl1")
        return context(*PICTURE_SIZE)
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        if isinstance(error, NoPicture):
            raise
        reason = " ".join(str(error).split())
        raise NoPicture(f"no picture: OpenGL cannot be used: {reason}; try MUJOCO_GL=egl or osmesa") from error


def _free(gl: Any, context: mujoco.MjrContext) -> None:
    gl.make_current()
    context.free()
    gl.free()
