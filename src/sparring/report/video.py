"""Clips of matches, small enough to travel inside a report."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparring.errors import InputError, NoPicture

MAX_BYTES = 4 * 2**20
SUFFIXES = (".mp4", ".webp")
_QUALITIES = (23, 28, 33, 38, 44)  # x264's constant rate factor: larger is smaller and coarser


def encode(
    frames: Sequence[np.ndarray] | np.ndarray, fps: int = 20, max_bytes: int = MAX_BYTES, suffix: str | None = None
) -> tuple[bytes, str]:
    """Frames as a film: H.264 in mp4 where PyAV can encode it, else an animated WebP.

    Args:
      frames: T frames `uint8 [H, W, 3]`, RGB, all of one size: an array, or a sequence that makes one after the other.
      fps: frames per second; by default as many as RoboSumo's control steps.
      max_bytes: the coarser of several qualities is taken until the film fits.
      suffix: `.mp4` or `.webp`; None: the first of them that can be had.

    Returns:
      The file's bytes, and its suffix: `.mp4` or `.webp`.

    Raises:
      InputError: not such frames, or the film does not fit in any quality; and as `encoder`.
      NoPicture: as `encoder`.
    """
    first = np.asarray(frames[0]) if len(frames) else np.zeros((0, 0, 0))
    if first.dtype != np.uint8 or first.ndim != 3 or first.shape[2] != 3 or min(len(frames), *first.shape[:2]) < 2:
        shape = [len(frames), *first.shape]
        raise InputError(f"expected frames uint8 [T, H, W, 3], at least 2 each, got {first.dtype} {shape}")
    suffix, film = encoder(suffix)
    for quality in _QUALITIES:
        data = film(frames, fps, quality)
        if len(data) <= max_bytes:
            return data, suffix
    raise InputError(f"a film of {len(frames)} frames does not fit in {max_bytes} bytes: show fewer or smaller frames")


def encoder(suffix: str | None = None) -> tuple[str, Callable[[Any, int, int], bytes]]:
    """The suffix of a film, and what makes one of frames, a rate and a quality.

    Raises:
      InputError: another suffix.
      NoPicture: what makes such a film is not installed.
    """
    if suffix not in (None, *SUFFIXES):
        raise InputError(f"film: expected a file that ends with {' or '.join(SUFFIXES)}, got {suffix!r}")
    if suffix != ".webp" and _has_h264():
        return ".mp4", _h264
    if suffix != ".mp4" and _has_pillow():
        return ".webp", _webp
    missing = {".mp4": "PyAV with libx264 is not", ".webp": "Pillow is not"}.get(
        suffix or "", "neither PyAV nor Pillow is"
    )
    raise NoPicture(f'no film: {missing} installed: pip install "sparring[robosumo]"')


def _has_h264() -> bool:
    try:
        import av
    except ImportError:
        return False
    return "libx264" in av.codecs_available


def _has_pillow() -> bool:
    return importlib.util.find_spec("PIL") is not None


def _h264(frames: Sequence[np.ndarray], fps: int, quality: int) -> bytes:
    import av

    height, width = (size - size % 2 for size in np.shape(frames[0])[:2])  # 4:2:0 colour needs even sizes
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        # One thread: the same frames then give the same bytes on every machine.
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": str(quality), "preset": "veryfast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return buffer.getvalue()


def _webp(frames: Sequence[np.ndarray], fps: int, quality: int) -> bytes:
    from PIL import Image

    first, *rest = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    # WebP's quality runs the other way, from 100 down to 0.
    first.save(
        buffer, "WEBP", save_all=True, append_images=rest, duration=1000 // fps, loop=0, quality=100 - 2 * quality
    )
    return buffer.getvalue()
