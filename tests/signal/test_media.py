"""What only PyAV reads."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from serenade.core.errors import AudioError, MissingExtraError
from serenade.signal.audio import examine, read_audio, stream_audio


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="needs the extra media")


def write(
    av, path: Path, codec: str, container: str, samples, rate: int, *, picture: bool = False, **tags: str
) -> None:
    with av.open(str(path), "w", format=container) as file:
        file.metadata.update(tags)
        track = file.add_stream(codec, rate=rate, layout="stereo")
        track.bit_rate = 128_000
        if picture:
            video = file.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.astype(np.float32)), format="fltp", layout="stereo"
        )
        frame.sample_rate = rate
        fifo.write(frame)
        while (part := fifo.read(track.codec_context.frame_size or 1024, partial=True)) is not None:
            file.mux(track.encode(part))
        file.mux(track.encode(None))


@pytest.mark.parametrize(
    ("codec", "container", "rate", "picture"),
    [
        ("aac", "ipod", 44_100, False),
        ("aac", "mp4", 44_100, True),
        ("aac", "adts", 44_100, False),
        ("libopus", "webm", 48_000, False),
        ("wmav2", "asf", 44_100, False),
    ],
)
def test_reads_containers_by_content(av, voice, resampled, tmp_path, codec, container, rate, picture):
    path = tmp_path / "voice.wav"  # a wrong name
    write(av, path, codec, container, voice, rate, picture=picture)
    waveform = read_audio(path).numpy()
    expected = resampled(voice, rate)
    assert abs(len(waveform) - len(expected)) < 3_000  # encoders fill up their last frame and some keep a delay
    lags = np.fft.irfft(np.fft.rfft(waveform, 2**17) * np.conj(np.fft.rfft(expected, 2**17)))
    similarity = lags.max() / np.sqrt((waveform**2).sum() * (expected**2).sum())
    assert similarity > 0.95
    assert torch.equal(torch.cat(list(stream_audio(path, block_s=0.1))), read_audio(path.read_bytes()))


def test_spans_lie_within(av, voice, tmp_path):
    path = tmp_path / "voice.m4a"
    write(av, path, "aac", "ipod", voice, 16_000)
    whole = read_audio(path)
    assert torch.equal(read_audio(path, start_s=0.3, end_s=1.1), whole[4_800:17_600])
    for start_s, end_s in ((0.0, 60.0), (60.0, None), (60.0, 61.0)):
        with pytest.raises(AudioError, match="span does not lie") as caught:
            read_audio(path, start_s=start_s, end_s=end_s)
        assert caught.value.reason == "bad span"


def test_facts(av, voice, tmp_path):
    path = tmp_path / "voice.webm"
    write(av, path, "libopus", "webm", voice, 48_000)
    facts = examine(path)
    assert (facts.sample_rate, facts.channels) == (48_000, 2)
    assert facts.duration_s == pytest.approx(len(voice) / 48_000, abs=0.05)


def test_names_the_extra_when_it_is_missing(av, voice, tmp_path, monkeypatch):
    path = tmp_path / "voice.m4a"
    write(av, path, "aac", "ipod", voice, 44_100)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"voice\.m4a needs the package 'av'.*serenade\[media\]"):
        read_audio(path)
    with pytest.raises(AudioError, match="cannot be decoded as sound"):  # no extra would help here
        read_audio(b"hello " * 100)


def test_damaged_and_soundless(av, voice, tmp_path):
    path = tmp_path / "voice.m4a"
    write(av, path, "aac", "ipod", voice, 44_100)
    for length in (12, 200, path.stat().st_size // 2):
        with pytest.raises(AudioError) as caught:
            read_audio(path.read_bytes()[:length])
        assert caught.value.reason == "undecodable"


def test_a_film_without_sound(av, tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w", format="mp4") as file:
        video = file.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
        file.mux(video.encode(frame))
        file.mux(video.encode(None))
    with pytest.raises(AudioError, match=r"no sound in it: .*film\.mp4"):
        read_audio(path)


def test_webm_cut_short(av, voice, tmp_path):
    path = tmp_path / "voice.webm"
    write(av, path, "libopus", "webm", np.tile(voice, (4, 1)), 48_000)
    data = path.read_bytes()
    with pytest.raises(AudioError, match="cut short") as caught:
        read_audio(data[: len(data) // 2])
    assert caught.value.reason == "undecodable"


def test_tags_of_another_encoding_do_no_harm(av, voice, tmp_path):
    path = tmp_path / "voice.m4a"
    write(av, path, "aac", "ipod", voice, 44_100, title="\u00e9\u00e9")
    data = path.read_bytes()
    assert data.count(b"\xc3\xa9" * 2) == 1
    assert torch.equal(read_audio(data.replace(b"\xc3\xa9" * 2, b"\xe9" * 4)), read_audio(path))
