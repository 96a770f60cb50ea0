from __future__ import annotations

import io

import numpy as np
import pytest

from sparring.errors import InputError, NoPicture
from sparring.report import video


def frames(count: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    """A white square that moves to the right over a dark ground."""
    film = np.full((count, height, width, 3), 20, np.uint8)
    for index in range(count):
        film[index, 10:30, 2 * index : 2 * index + 20] = 235
    return film


def test_a_film_comes_back_as_it_was() -> None:
    av = pytest.importorskip("av")
    original = frames()
    data, suffix = video.encode(original, fps=10)
    assert suffix == ".mp4"
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == 10
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert decoded.shape == original.shape
    assert np.abs(decoded.astype(int) - original).mean() < 4


def test_odd_sizes_lose_one_row_or_column() -> None:
    av = pytest.importorskip("av")
    data, _ = video.encode(frames(height=47, width=63))
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
    assert (frame.height, frame.width) == (46, 62)


def test_webp_where_h264_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image, ImageSequence

    monkeypatch.setattr(video, "_has_h264", lambda: False)
    original = frames()
    data, suffix = video.encode(original)
    assert suffix == ".webp"
    with Image.open(io.BytesIO(data)) as film:
        decoded = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)])
    assert decoded.shape == original.shape
    assert np.abs(decoded.astype(int) - original).mean() < 4


def test_frames_may_be_made_one_after_the_other() -> None:
    pytest.importorskip("av")
    assert video.encode(list(frames())) == video.encode(frames())


def test_without_an_encoder_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit says it in its report, and is complete otherwise: it is no bad input."""
    monkeypatch.setattr(video, "_has_h264", lambda: False)
    with pytest.raises(NoPicture, match="no film: PyAV with libx264 is not installed: pip install"):
        video.encode(frames(), suffix=".mp4")
    monkeypatch.setattr(video, "_has_pillow", lambda: False)
    with pytest.raises(NoPicture, match="no film: neither PyAV nor Pillow is installed: pip install"):
        video.encode(frames())
    with pytest.raises(NoPicture, match="no film: Pillow is not installed"):
        video.encode(frames(), suffix=".webp")


@pytest.mark.parametrize(("suffix", "begins"), [(".mp4", b"ftyp"), (".webp", b"WEBP")])
def test_the_suffix_decides_the_kind(suffix: str, begins: bytes) -> None:
    pytest.importorskip("av" if suffix == ".mp4" else "PIL")
    data, got = video.encode(frames(), suffix=suffix)
    assert got == suffix and begins in data[:16]
    with pytest.raises(InputError, match=r"ends with .mp4 or .webp, got '.avi'"):
        video.encode(frames(), suffix=".avi")


def test_a_film_is_made_coarser_until_it_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 96, 96, 3), np.uint8)
    fine, _ = video.encode(noise)
    coarse, _ = video.encode(noise, max_bytes=len(fine) // 2)
    assert len(coarse) <= len(fine) // 2
    assert video.encode(noise)[0] == fine
    with pytest.raises(InputError, match="does not fit in 100 bytes"):
        video.encode(noise, max_bytes=100)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 4, 4, 3)), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_what_is_no_film_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected frames uint8"):
        video.encode(bad)
