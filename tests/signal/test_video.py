"""Pictures of a video at given times."""

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from serenade.core.errors import MissingExtraError, VideoError
from serenade.core.records import Video
from serenade.signal.video import FrameSettings, centre_square, sample_frames, video_duration

pytest.importorskip("av", reason="needs the extra media")
from tests.clips import grey, grey_of, write_clip


def seen(video: Video, **settings) -> list[tuple[float, int]]:
    return [(picture.time_s, grey_of(picture.pixels)) for picture in sample_frames(video, FrameSettings(**settings))]


@pytest.fixture
def steady(tmp_path) -> Path:
    """Two seconds, ten pictures a second, the first black, each 10 brighter."""
    return write_clip(tmp_path / "steady.mp4", [k / 10 for k in range(20)], [grey(10 * k) for k in range(20)])


def test_pictures_come_every_half_second_from_the_first_on(steady):
    assert seen(Video(steady)) == [(0.0, 0), (0.5, 50), (1.0, 100), (1.5, 150)]


def test_a_span_begins_at_its_own_first_picture_and_ends_before_its_end(steady):
    assert seen(Video(steady, 0.3, 1.3)) == [(0.0, 30), (0.5, 80)]
    assert seen(Video(steady, 0.35, 0.5)) == [(0.0, 30)]  # what is on screen then began before


def test_time_stamps_count_and_not_the_number_of_pictures(tmp_path):
    times = [0.0, 0.05, 0.1, 0.15, 0.9, 1.6, 1.65]
    path = write_clip(tmp_path / "vfr.mp4", times, [grey(30 * k) for k in range(7)])
    assert seen(Video(path)) == [(0.0, 0), (0.5, 90), (1.0, 120), (1.5, 120)]


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mpeg4"), ("mkv", "mpeg4"), ("flv", "flv1")])
def test_pictures_far_into_a_long_video_are_those_of_decoding_it_whole(tmp_path, suffix, codec):
    times = [k / 10 for k in range(200)]
    pictures = [grey(10 * (k % 25)) for k in range(200)]
    path = write_clip(tmp_path / f"long.{suffix}", times, pictures, codec=codec)
    assert seen(Video(path, 12.5, 14.0)) == [(0.0, 0), (0.5, 50), (1.0, 100)]


def test_phones_film_upright_and_say_so(tmp_path):
    lower = grey(0)
    lower[32:] = 250
    path = write_clip(tmp_path / "turned.mp4", [0.0, 0.1], [lower, lower], rotation=90)
    pixels = next(iter(sample_frames(Video(path)))).pixels
    assert pixels.shape == (96, 64, 3)
    assert pixels[:, 40:].mean() > 240  # what was below is on the right after a quarter turn counter-clockwise
    assert pixels[:, :24].mean() < 10


def test_halves_of_a_shared_picture(tmp_path):
    left = grey(0)
    left[:, :48] = 250
    path = write_clip(tmp_path / "two.avi", [0.0, 0.1], [left, left])
    assert seen(Video(path, side="left"))[0][1] == 250
    assert seen(Video(path, side="right"))[0][1] == 0


def test_large_pictures_are_reduced_and_crops_come_from_the_middle(tmp_path):
    wide = grey(200, 200, 400)
    path = write_clip(tmp_path / "wide.mp4", [0.0, 0.1], [wide, wide])
    shape = next(iter(sample_frames(Video(path), FrameSettings(longest_side=100)))).pixels.shape
    assert shape == (50, 100, 3)
    shape = next(iter(sample_frames(Video(path), FrameSettings(halve_above=150, centre_crop=64)))).pixels.shape
    assert shape == (64, 64, 3)


def test_the_middle_of_a_smaller_picture_has_black_around_it():
    out = centre_square(np.full((2, 6, 3), 9, dtype=np.uint8), 4)
    assert out[:, :, 0].tolist() == [[0] * 4, [9] * 4, [9] * 4, [0] * 4]


def test_released_double_sampling_keeps_one_picture_in_fifteen(tmp_path):
    times = [k / 2 for k in range(40)]
    path = write_clip(tmp_path / "long.mp4", times, [grey(100)] * 40)
    assert [time for time, _ in seen(Video(path), released_double_sampling=True)] == [0.0, 7.5, 15.0]


def test_an_utterance_is_looked_at_no_longer_than_asked(steady):
    assert len(seen(Video(steady), longest_s=1.2)) == 3


def test_what_lies_outside_is_refused(steady):
    with pytest.raises(VideoError, match=r"within 0 and 2\.000 s") as caught:
        seen(Video(steady, 1.0, 9.0))
    assert caught.value.reason == "bad span"
    with pytest.raises(VideoError, match="span"):
        seen(Video(steady, 5.0))
    with pytest.raises(VideoError, match="0 <= start < end"):
        seen(Video(steady, 1.0, 0.5))


def test_damaged_absent_and_empty_files_are_told_apart(steady, tmp_path):
    whole = steady.read_bytes()
    cases = {"cut": whole[: len(whole) // 2], "noise": b"no video " * 99, "empty": b""}
    found = {}
    for name, data in cases.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(data)
        with pytest.raises(VideoError) as caught:
            seen(Video(path))
        found[name] = caught.value.reason
    with pytest.raises(VideoError) as caught:
        seen(Video(tmp_path / "absent.mp4"))
    found["absent"] = caught.value.reason
    assert found == {"cut": "undecodable", "noise": "undecodable", "empty": "empty", "absent": "missing"}


def test_noise_in_the_middle_of_a_video_stops_nothing_but_itself(steady):
    data = bytearray(steady.read_bytes())
    begin = data.index(b"mdat")
    data[begin + 2000 : begin + 4000] = bytes(2000)
    steady.write_bytes(data)
    try:
        pictures = seen(Video(steady))
    except VideoError as error:
        assert error.reason == "undecodable"  # noqa: PT017 - which of the two is the decoder's choice
    else:
        assert len(pictures) == 4


def test_sound_alone_and_a_video_without_pictures_have_no_picture(tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as file:
        track = file.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        file.mux(track.encode(frame))
        file.mux(track.encode(None))
    with pytest.raises(VideoError, match="no track of pictures"):
        seen(Video(path))
    avi = write_clip(tmp_path / "none.avi", [], [])
    with pytest.raises(VideoError) as caught:
        seen(Video(avi))
    assert caught.value.reason in ("empty", "undecodable")


def test_one_picture_is_a_video(tmp_path):
    path = write_clip(tmp_path / "one.mp4", [0.0], [grey(100)])
    assert seen(Video(path)) == [(0.0, 100)]


def test_the_header_tells_the_length(steady):
    assert video_duration(steady) == pytest.approx(2.0, abs=0.11)


def test_memory_does_not_grow_with_the_length(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "minute.mp4", [k / 2 for k in range(120)], [picture] * 120)
    process = psutil.Process()
    pictures = sample_frames(Video(path))
    next(pictures)
    before = process.memory_info().rss
    count = sum(1 for _ in pictures)
    assert count == 119
    assert process.memory_info().rss - before < 60e6  # all of them would be 110 MB


def test_the_error_names_the_extra(monkeypatch, steady):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"serenade\[media\]"):
        seen(Video(steady))
