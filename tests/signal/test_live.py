"""Live sound: raw samples in pieces of any size, and what FFmpeg opens."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.core.errors import AudioError, MissingExtraError, UsageError
from serenade.signal.live import PcmFormat, open_microphone, open_pcm, open_url

RATE = 8000


class Dribble(io.RawIOBase):
    """A pipe that gives a few odd bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.data, self.sizes = data, [1, 7, 160, 3]

    def read(self, size: int = -1) -> bytes:
        self.sizes = [*self.sizes[1:], self.sizes[0]]
        part, self.data = self.data[: min(size, self.sizes[0])], self.data[min(size, self.sizes[0]) :]
        return part


@pytest.mark.parametrize(("kind", "scale"), [("s16le", 32768), ("s32le", 2**31), ("f32le", 1)])
def test_raw_samples_are_those_of_the_pipe_whatever_its_pieces(kind: PcmFormat, scale: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    code = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}[kind]
    stored = (samples * scale * 0.999).astype(code)
    sound = open_pcm(Dribble(stored.tobytes() + b"\x01"), sample_rate=RATE, channels=2, kind=kind)  # type: ignore[arg-type]
    blocks = list(sound.blocks)
    assert len(blocks) > 10  # nothing was waited for
    np.testing.assert_allclose(np.concatenate(blocks), stored / scale, atol=1e-7)


def test_impossible_raw_samples() -> None:
    with pytest.raises(UsageError, match="0 channels"):
        open_pcm(io.BytesIO(), sample_rate=RATE, channels=0)
    with pytest.raises(UsageError, match="7 Hz"):
        open_pcm(io.BytesIO(), sample_rate=7)


def test_what_ffmpeg_opens(tmp_path: Path) -> None:
    pytest.importorskip("av")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, "FLOAT")
    with open_url(str(tmp_path / "a.wav")) as sound:
        assert sound.sample_rate == RATE
        np.testing.assert_allclose(np.concatenate(list(sound.blocks)), samples, atol=1e-6)


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(AudioError, match=r"cannot be opened: .*none\.wav"), open_url(str(tmp_path / "none.wav")):
        pass
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(AudioError, match="cannot be opened"), open_url(str(tmp_path / "text.txt")):
        pass


def test_the_microphone_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match="microphone"), open_microphone():
        pass


class FakeInput:
    """PortAudio's stream of one channel."""

    def __init__(self, rate: int, frames: int, device: object, **options: object) -> None:
        self.place = 0

    def __enter__(self) -> "FakeInput":
        return self

    def __exit__(self, *why: object) -> None: ...

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        self.place += frames
        return np.full((frames, 1), self.place, np.float32), False


def test_the_microphone_gives_short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        PortAudioError = RuntimeError
        InputStream = FakeInput

        @staticmethod
        def query_devices(device: object, kind: str) -> dict[str, float]:
            return {"default_samplerate": 48_000.0}

    monkeypatch.setitem(sys.modules, "sounddevice", Fake)
    with open_microphone("usb") as sound:
        assert sound.sample_rate == 48_000
        first, second = next(sound.blocks), next(sound.blocks)
    assert first.shape == second.shape == (2400, 1)
