"""Segments: exact integer samples, short turns, and the stream that equals the whole."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from serenade.core.errors import SettingsError, UsageError
from serenade.core.settings import make_settings
from serenade.signal.segments import SegmentSettings, cut, stream_segments


def small(length: int, step: int, short: str = "pad") -> SegmentSettings:
    """Settings for that many samples."""
    return SegmentSettings(length_s=length / 16_000, overlap_s=(length - step) / 16_000, short=short)


class TestSettings:
    @pytest.mark.parametrize(
        ("length_s", "overlap_s", "length", "step", "reference_step"),
        [
            (1.8, 1.6, 28_800, 3_200, 3_199),
            (2.0, 1.6, 32_000, 6_400, 6_399),
            (2.0, 1.0, 32_000, 16_000, 16_000),
            (1.0, 0.0, 16_000, 16_000, 16_000),
        ],
    )
    def test_lengths_are_exact_and_the_published_truncation_is_an_option(
        self, length_s, overlap_s, length, step, reference_step
    ):
        exact = SegmentSettings(length_s=length_s, overlap_s=overlap_s)
        reference = SegmentSettings(length_s=length_s, overlap_s=overlap_s, reference_step=True)
        assert (exact.length, exact.step) == (length, step)
        assert (reference.length, reference.step) == (length, reference_step)

    @given(st.integers(1, 60_000), st.data())
    def test_any_whole_number_of_samples_is_met(self, length, data):
        step = data.draw(st.integers(1, length))
        settings = small(length, step)
        assert (settings.length, settings.step) == (length, step)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"length_s": 1.0, "overlap_s": 1.0}, "length_s must exceed overlap_s"),
            ({"length_s": 1.0, "overlap_s": 2.0}, "length_s must exceed overlap_s"),
            ({"length_s": 1e-6, "overlap_s": 0}, "by a sample at least"),
            ({"length_s": 0}, "length_s"),
            ({"overlap_s": -0.1}, "overlap_s"),
            ({"short": "stretch"}, "short"),
        ],
    )
    def test_bad_values_are_refused(self, values, message):
        with pytest.raises(SettingsError, match=message):
            make_settings(SegmentSettings, values)


class TestCut:
    def test_only_full_windows_are_kept(self):
        segments = cut(torch.arange(11), small(4, 3))
        assert segments.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]

    @pytest.mark.parametrize(
        ("short", "expected"), [("pad", [[0, 1, 2, 0, 0, 0, 0]]), ("repeat", [[0, 1, 2, 0, 1, 2, 0]]), ("drop", [])]
    )
    def test_short_turns(self, short, expected):
        segments = cut(torch.arange(3), small(7, 2, short))
        assert segments.tolist() == expected
        assert segments.shape[1] == 7

    @pytest.mark.parametrize("short", ["pad", "repeat", "drop"])
    def test_a_turn_of_one_segment_is_itself(self, short):
        assert cut(torch.arange(7), small(7, 2, short)).tolist() == [list(range(7))]

    @pytest.mark.parametrize(("short", "count"), [("pad", 1), ("repeat", 1), ("drop", 0)])
    def test_an_empty_turn_is_zeros(self, short, count):
        segments = cut(torch.zeros(0), small(7, 2, short))
        assert segments.shape == (count, 7)
        assert not segments.any()

    def test_the_spec_counts_of_segments(self):
        assert cut(torch.zeros(69_920), SegmentSettings()).shape == (13, 28_800)

    def test_two_axes_are_refused(self):
        with pytest.raises(UsageError, match=r"one axis.*\(2, 100\)"):
            cut(torch.zeros(2, 100), SegmentSettings())


class TestStream:
    @given(
        total=st.integers(0, 120),
        length=st.integers(1, 20),
        group=st.integers(1, 5),
        short=st.sampled_from(["pad", "repeat", "drop"]),
        data=st.data(),
    )
    def test_equals_cutting_the_whole(self, total, length, group, short, data):
        step = data.draw(st.integers(1, length))
        cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=6)))
        waveform = torch.arange(1, total + 1, dtype=torch.float32)
        blocks = [waveform[a:b] for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
        settings = small(length, step, short)
        groups = list(stream_segments(blocks, settings, group=group))
        assert all(1 <= len(part) <= group for part in groups)
        assert all(len(part) == group for part in groups[:-1])
        assert torch.equal(torch.cat([torch.zeros(0, length), *groups]), cut(waveform, settings))

    def test_groups_leave_before_the_recording_ends(self):
        settings, drawn = small(4, 2), []

        def blocks():
            for start in range(0, 100, 10):
                drawn.append(start)
                yield torch.arange(start, start + 10.0)

        next(stream_segments(blocks(), settings, group=3))
        assert drawn == [0]

    def test_a_group_holds_at_least_one(self):
        with pytest.raises(UsageError, match="at least one segment"):
            stream_segments([], SegmentSettings(), group=0)
