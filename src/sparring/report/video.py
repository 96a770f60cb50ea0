"""Clips of matches, small enough to travel inside a report."""

from __future__ import annotations

import io

import numpy as np

from sparring.errors import InputError, require

MAX_BYTES = 4 * 2**20
_QUALITIES = (23, 28, 33, 38, 44)  # x264's constant rate factor: larger is smaller and coarser


def encode(frames: np.ndarray, fps: int = 20, max_bytes: int = MAX_BYTES) -> tuple[bytes, str]:
    """Frames as a film: H.264 in mp4 where PyAV can encode it, else an animated WebP.

    Args:
      frames: uint8 [T, H, W, 3], RGB.
      fps: frames per second; by default as many as RoboSumo's control steps.
      max_bytes: the coarser of several qualities is taken until the film fits.

    Returns:
      The file's bytes, and its suffix: `.mp4` or `.webp`.

    Raises:
      InputError: not such frames, the film does not fit in any quality, or neither PyAV nor Pillow is installed.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or min(frames.shape[:3]) < 2:
        raise InputError(f"expected frames uint8 [T, H, W, 3], at least 2 each, got {frames.dtype} {frames.shape}")
    suffix, film = (".mp4", _h264) if _has_h264() else (".webp", _webp)
    for quality in _QUALITIES:
        data = film(frames, fps, quality)
        if len(data) <= max_bytes:
            return data, suffix
    raise InputError(f"a film of {len(frames)} frames does not fit in {max_bytes} bytes: show fewer or smaller frames")


def _has_h264() -> bool:
    try:
        import av
    except ImportError:
        return False
    return "libx264" in av.codecs_available


def _h264(frames: np.ndarray, fps: int, quality: int) -> bytes:
    import av

    height, width = (size - size % 2 for size in frames.shape[1:3])  # 4:2:0 colour needs even sizes
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        # One thread: the same frames then give the same bytes on every machine.
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(quality), "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return buffer.getvalue()


def _webp(frames: np.ndarray, fps: int, quality: int) -> bytes:
    Image = require("PIL.Image", "robosumo")
    first, *rest = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    # WebP's quality runs the other way, from 100 down to 0.
    first.save(
        buffer, "WEBP", save_all=True, append_images=rest, duration=1000 // fps, loop=0, quality=100 - 2 * quality
    )
    return buffer.getvalue()
