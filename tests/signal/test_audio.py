"""Reading sound: every format in one way, errors that name the reason."""

import hashlib
import logging
import os
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serenade.core.errors import AudioError, UsageError
from serenade.signal.audio import SAMPLE_RATE, examine, from_array, read_audio, stream_audio, stream_samples

FORMATS = [
    ("WAV", "PCM_16", 44_100),
    ("WAV", "PCM_U8", 8_000),
    ("WAV", "PCM_24", 192_000),
    ("WAV", "FLOAT", 16_000),
    ("WAV", "ULAW", 8_000),
    ("FLAC", None, 22_050),
    ("OGG", "VORBIS", 44_100),
    ("OGG", "OPUS", 48_000),
    ("MP3", None, 44_100),
    ("AIFF", None, 11_025),
]


def reason_of(caught: pytest.ExceptionInfo[AudioError]) -> str:
    return caught.value.reason


class TestReading:
    @pytest.mark.parametrize(("kind", "subtype", "rate"), FORMATS)
    def test_equals_soundfile_and_soxr(self, voice, encode, resampled, tmp_path, kind, subtype, rate):
        path = tmp_path / "voice.bin"  # the name says nothing
        path.write_bytes(encode(voice, rate, kind, subtype))
        decoded, file_rate = soundfile.read(path, dtype="float64")
        waveform = read_audio(path)
        assert waveform.dtype == torch.float32
        np.testing.assert_allclose(waveform.numpy(), resampled(decoded, file_rate), atol=1e-6)

    @pytest.mark.parametrize(("kind", "subtype", "rate"), FORMATS)
    @pytest.mark.parametrize("block_s", [0.0371, 1.0, 30.0])
    def test_is_exactly_the_concatenation_of_the_stream(self, voice, encode, kind, subtype, rate, block_s):
        data = encode(voice, rate, kind, subtype)
        blocks = list(stream_audio(data, block_s=block_s))
        assert {len(block) for block in blocks[:-1]} <= {round(block_s * SAMPLE_RATE)}
        assert torch.equal(torch.cat(blocks), read_audio(data))

    def test_reads_path_text_and_bytes_alike(self, voice, encode, tmp_path):
        path = tmp_path / "a.wav"
        path.write_bytes(encode(voice, 44_100))
        assert torch.equal(read_audio(path), read_audio(str(path)))
        assert torch.equal(read_audio(path), read_audio(path.read_bytes()))

    @pytest.mark.parametrize("name", ["a.mp3", "a.raw", "a.txt", "a", "ä ö.wav"])
    def test_the_name_does_not_matter(self, voice, encode, tmp_path, name):
        path = tmp_path / name
        path.write_bytes(encode(voice, 44_100, "FLAC"))
        assert torch.equal(read_audio(path), read_audio(path.read_bytes()))

    def test_eight_channels_at_192_khz_are_averaged(self, encode, resampled):
        rng = np.random.default_rng(0)
        samples = rng.uniform(-0.5, 0.5, (9_600, 8))
        waveform = read_audio(encode(samples, 192_000, "WAV", "FLOAT"))
        assert len(waveform) == 800
        np.testing.assert_allclose(waveform.numpy(), resampled(samples, 192_000), atol=1e-6)

    @pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 192_000])
    def test_one_sample_is_a_recording(self, encode, rate):
        waveform = read_audio(encode(np.array([0.5]), rate))
        assert len(waveform) >= 1
        assert 0 < float(waveform.abs().max()) <= 0.5

    def test_silence_is_a_fact_not_an_error(self, encode, tmp_path):
        path = tmp_path / "silent.wav"
        path.write_bytes(encode(np.zeros(4_000), 8_000))
        assert examine(path).peak == 0
        assert not read_audio(path).any()

    @pytest.mark.parametrize("block_s", [0, -1, 1e-9, float("nan"), float("inf")])
    def test_a_length_of_block_must_be_positive(self, encode, block_s):
        with pytest.raises(UsageError, match="block_s"):
            stream_audio(encode(np.zeros(10), 16_000), block_s=block_s)


class TestMp3WithoutLengthTag:
    """Its length is estimated from the first frame, and libsndfile stops at the estimate."""

    @staticmethod
    def without_tag(data: bytes) -> bytes:
        second_frame = data.index(data[:2], 4)
        assert b"Xing" in data[:second_frame] or b"Info" in data[:second_frame]
        return data[second_frame:]

    @pytest.mark.parametrize("quiet_first", [True, False])
    def test_is_read_whole(self, tmp_path, quiet_first):
        rng = np.random.default_rng(1)
        loud = 0.2 * rng.standard_normal(44_100 * 2).clip(-4, 4)
        samples = np.concatenate([0 * loud, loud] if quiet_first else [loud, 0 * loud])
        path = tmp_path / "tagged.mp3"
        with soundfile.SoundFile(path, "w", 44_100, 1, bitrate_mode="VARIABLE", compression_level=0.3) as file:
            file.write(samples)
        bare = self.without_tag(path.read_bytes())
        whole = read_audio(path).numpy()
        for data in (bare, bare + b"TAG" + bytes(125)):
            waveform = read_audio(data).numpy()
            # Without the tag the encoder's delay (1105 samples at 44.1 kHz) is not taken off either.
            assert 0 <= len(waveform) - len(whole) < 1_000
            delay = round(1_105 * 16_000 / 44_100)
            aligned = waveform[delay : delay + len(whole) - 1_000]
            assert np.corrcoef(aligned, whole[: len(aligned)])[0, 1] > 0.95

    def test_its_spans_are_cut_from_the_whole(self, voice, encode):
        bare = self.without_tag(encode(voice[:, 0], 16_000, "MP3"))
        whole = read_audio(bare)
        assert torch.equal(read_audio(bare, start_s=0.5, end_s=1.25), whole[8_000:20_000])
        with pytest.raises(AudioError, match="span does not lie") as caught:
            read_audio(bare, start_s=1.0, end_s=9.0)
        assert reason_of(caught) == "bad span"


class TestSpans:
    @pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3"])
    def test_a_span_is_cut_before_resampling(self, voice, encode, resampled, kind):
        data = encode(voice, 44_100, kind)
        decoded, _ = soundfile.read(BytesIO(data))
        span = read_audio(data, start_s=0.4, end_s=1.3)
        np.testing.assert_allclose(span.numpy(), resampled(decoded[17_640:57_330], 44_100), atol=1e-6)

    def test_spans_at_16_khz_are_slices(self, voice, encode):
        data = encode(voice[:40_000, 0], 16_000)
        whole = read_audio(data)
        assert torch.equal(read_audio(data, start_s=0.25, end_s=2.0), whole[4_000:32_000])
        assert torch.equal(read_audio(data, start_s=1.5), whole[24_000:])

    def test_an_end_rounded_to_hundredths_is_within(self, encode):
        data = encode(np.full(15_990, 0.1), 16_000)
        assert len(read_audio(data, end_s=1.0)) == 15_990

    @pytest.mark.parametrize(
        ("start_s", "end_s"),
        [
            (-0.1, None),
            (0.5, 0.5),
            (0.5, 0.4),
            (1.0, None),
            (5.0, 6.0),
            (0.0, 1.2),
            (float("nan"), None),
            (0.0, float("inf")),
        ],
    )
    def test_bad_spans_are_refused(self, encode, start_s, end_s):
        with pytest.raises(AudioError, match="span does not lie in the recording") as caught:
            read_audio(encode(np.full(16_000, 0.1), 16_000), start_s=start_s, end_s=end_s)
        assert reason_of(caught) == "bad span"


class TestBadFiles:
    def test_missing(self, tmp_path):
        with pytest.raises(AudioError, match=r"no such recording: .*nothing\.wav") as caught:
            read_audio(tmp_path / "nothing.wav")
        assert reason_of(caught) == "missing"

    def test_broken_link(self, tmp_path):
        (tmp_path / "a.wav").symlink_to(tmp_path / "gone.wav")
        with pytest.raises(AudioError, match="link to a file that is not there") as caught:
            examine(tmp_path / "a.wav")
        assert reason_of(caught) == "missing"

    def test_loop_of_links(self, tmp_path):
        (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
        (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
        with pytest.raises(AudioError, match=r"leads to no file: .*a\.wav.*[Ll]evels of symbolic links") as caught:
            examine(tmp_path / "a.wav")
        assert reason_of(caught) == "missing"

    @pytest.mark.parametrize("name", ["x" * 5_000, "a\0b"])
    def test_impossible_names(self, name):
        with pytest.raises(AudioError, match="leads to no file") as caught:
            read_audio(name)
        assert reason_of(caught) == "missing"

    def test_folder(self, tmp_path):
        with pytest.raises(AudioError, match=r"not a recording.*Found: a folder") as caught:
            read_audio(tmp_path)
        assert reason_of(caught) == "undecodable"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
    def test_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.wav")
        with pytest.raises(AudioError, match="something that is not a file"):
            read_audio(tmp_path / "pipe.wav")

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
    def test_permission_denied(self, tmp_path, encode):
        path = tmp_path / "private.wav"
        path.write_bytes(encode(np.zeros(10), 16_000))
        path.chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything: be nobody for a moment
            os.seteuid(65_534)
        try:
            with pytest.raises(AudioError, match=r"not permitted: .*private\.wav") as caught:
                read_audio(path)
        finally:
            if user == 0:
                os.seteuid(0)
        assert reason_of(caught) == "undecodable"

    def test_no_bytes(self, tmp_path):
        (tmp_path / "a.wav").touch()
        for source in (tmp_path / "a.wav", b""):
            with pytest.raises(AudioError, match=r"is empty.*0 bytes") as caught:
                read_audio(source)
            assert reason_of(caught) == "empty"

    @pytest.mark.parametrize("kind", ["WAV", "OGG", "AIFF"])
    def test_header_without_samples(self, encode, kind):
        with pytest.raises(AudioError, match="a header without samples") as caught:
            read_audio(encode(np.zeros(0), 16_000, kind))
        assert reason_of(caught) == "empty"

    @pytest.mark.parametrize(
        "data", [b"hello " * 100, bytes(1000), b"\x89PNG\r\n\x1a\n" + bytes(100), b"#EXTM3U\nhttp://localhost/x.ts\n"]
    )
    def test_not_sound(self, data):
        with pytest.raises(AudioError, match="cannot be decoded as sound: audio in memory") as caught:
            read_audio(data)
        assert reason_of(caught) == "undecodable"

    @pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AIFF", "MP3", "CAF"])
    @pytest.mark.parametrize("length", [1, 11, 30])
    def test_truncated_header(self, voice, encode, kind, length):
        with pytest.raises(AudioError) as caught:
            read_audio(encode(voice, 44_100, kind)[:length])
        assert reason_of(caught) == "undecodable"

    @pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "AU", "FLAC", "MP3"])
    def test_cut_short(self, voice, encode, kind):
        data = encode(voice, 44_100, kind)
        with pytest.raises(AudioError, match="cut short") as caught:
            read_audio(data[: len(data) * 3 // 5])
        assert reason_of(caught) == "undecodable"

    def test_an_ogg_without_its_end_is_read_with_a_warning(self, voice, encode, caplog):
        data = encode(voice, 44_100, "OGG")
        with caplog.at_level(logging.WARNING):
            assert len(read_audio(data)) == 40_000
            assert not caplog.messages
            assert len(read_audio(data[: len(data) * 3 // 5])) < 40_000
        assert "may be cut short" in caplog.text

    def test_a_wav_written_to_a_pipe_has_no_length_and_is_read(self, voice, encode):
        data = encode(voice, 44_100)
        place = data.index(b"data") + 4
        streamed = data[:4] + b"\xff" * 4 + data[8:place] + b"\xff" * 4 + data[place + 4 :]
        assert torch.equal(read_audio(streamed), read_audio(data))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, encode, tmp_path, value):
        samples = np.zeros((20_000, 2))
        samples[12_000, 1] = value
        path = tmp_path / "a.wav"
        path.write_bytes(encode(samples, 16_000, "WAV", "FLOAT"))
        for read in (read_audio, examine):
            with pytest.raises(AudioError, match=r"not finite: .*a\.wav.*first at 0\.750 s") as caught:
                read(path)
            assert reason_of(caught) == "not finite"

    def test_opposite_infinities_are_found(self, encode):
        samples = np.array([[0.0, 0.0], [np.inf, -np.inf]])
        with pytest.raises(AudioError, match="not finite"):
            read_audio(encode(samples, 16_000, "WAV", "FLOAT"))

    @pytest.mark.parametrize("rate", [1, 20_000_000])
    def test_implausible_rate(self, encode, rate):
        data = bytearray(encode(np.zeros(100), 16_000))
        data[24:28] = rate.to_bytes(4, "little")
        with pytest.raises(AudioError, match="sample rate in the header cannot be right"):
            read_audio(bytes(data))


class TestExamine:
    def test_facts(self, tmp_path, encode):
        samples = np.zeros((22_050, 2))
        samples[100] = (0.75, 0.25)
        path = tmp_path / "a.flac"
        path.write_bytes(encode(samples, 44_100, "FLAC"))
        facts = examine(path)
        assert (facts.duration_s, facts.sample_rate, facts.channels) == (0.5, 44_100, 2)
        assert facts.peak == pytest.approx(0.5, abs=1e-4)
        assert facts.content == hashlib.sha256(path.read_bytes()).hexdigest()[:32]


class TestFromArray:
    @pytest.mark.parametrize("rate", [16_000, 44_100])
    def test_equals_a_file_of_the_same_samples_bit_for_bit(self, voice, encode, rate):
        samples = np.tile(voice, (1, 2)).astype(np.float32)[: 2 * rate]
        assert torch.equal(from_array(samples, rate), read_audio(encode(samples, rate, "WAV", "FLOAT")))

    def test_takes_both_layouts_and_tensors(self, voice):
        samples = voice[:8_000].astype(np.float32)
        expected = from_array(samples, 44_100)
        assert torch.equal(from_array(samples.T, 44_100), expected)
        assert torch.equal(from_array(torch.from_numpy(samples), 44_100), expected)
        assert torch.equal(from_array(samples.mean(axis=1), 44_100), expected)

    @pytest.mark.parametrize(
        ("kind", "subtype"), [(np.int16, "PCM_16"), (np.int32, "PCM_32"), (np.uint8, "PCM_U8"), (np.float64, "DOUBLE")]
    )
    def test_types_are_scaled_by_their_range(self, voice, encode, kind, subtype):
        mono = voice[:5_000, 0]
        full = {np.int16: 2**15, np.int32: 2**31, np.uint8: 2**7, np.float64: 1}[kind]
        values = (mono * full + (128 if kind is np.uint8 else 0)).astype(kind)
        written = values / full if kind is not np.uint8 else (values.astype(float) - 128) / 128
        assert torch.equal(from_array(values, 16_000), read_audio(encode(written, 16_000, "WAV", subtype)))

    def test_does_not_change_its_input(self, voice):
        samples = voice.copy()
        waveform = from_array(samples[:, 0], 16_000)
        waveform.zero_()
        np.testing.assert_array_equal(samples, voice)

    def test_a_float32_array_at_16_khz_is_copied(self):
        samples = np.full(100, 0.5, dtype=np.float32)
        from_array(samples, 16_000).zero_()
        assert (samples == 0.5).all()

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            ([0.1, 0.2], "must be a numpy array or a tensor"),
            (np.zeros((2, 3, 4)), r"must have the shape \(T,\), \(T, C\) or \(C, T\)"),
            (np.zeros((100, 100)), "at most 64 channels"),
            (np.zeros(10, dtype=np.int64), "type that is not known.*int64"),
            (np.zeros(10, dtype=bool), "type that is not known.*bool"),
            (np.array(0.5), "must have the shape"),
            (np.full(10, 1e300), "must lie in .*magnitude of 1e\\+300"),
            (np.full(10, 20_000.0), "must lie in .*magnitude of 20000.*Divide"),
        ],
    )
    def test_refuses_what_is_not_sound(self, array, message):
        with pytest.raises(UsageError, match=message):
            from_array(array, 16_000)

    @pytest.mark.parametrize("rate", [0, -16_000, 44_100.5, "16000", 10_000_000])
    def test_refuses_what_is_not_a_rate(self, rate):
        with pytest.raises(UsageError, match="not a sample rate"):
            from_array(np.zeros(10), rate)

    def test_empty_and_not_finite(self):
        with pytest.raises(AudioError, match="no samples") as caught:
            from_array(np.zeros(0), 16_000)
        assert reason_of(caught) == "empty"
        for values in ([0.0, np.nan], [np.nan, np.nan], [np.inf, 0.0]):
            with pytest.raises(AudioError, match="not finite") as caught:
                from_array(np.array(values), 16_000)
            assert reason_of(caught) == "not finite"

    @pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
    def test_takes_every_float(self, kind):
        values = torch.tensor([0.5, -0.25, 0.125], dtype=kind)
        assert from_array(values, 16_000).tolist() == [0.5, -0.25, 0.125]


def test_samples_without_torch_are_those_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 30_000), 22_050)
    blocks = list(stream_samples(path, block_s=0.5))
    assert all(isinstance(block, np.ndarray) for block in blocks)
    assert [len(block) for block in blocks[:-1]] == [8000] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path).numpy())
