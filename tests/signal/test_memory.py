"""A recording longer than memory: decoding, segments and features hold a block at a time."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("psutil", reason="needs the extra dev")

SCRIPT = """
import json, sys, psutil, torch
from serenade.signal.audio import examine, read_audio, stream_audio
from serenade.signal.features import MfccSettings, build_front_end
from serenade.signal.segments import SegmentSettings, stream_segments

process, peaks = psutil.Process(), []
for path in sys.argv[1:]:
    settings, front_end = SegmentSettings(length_s=1.8, overlap_s=0.6), build_front_end(MfccSettings())
    segments, peak = 0, 0
    with torch.inference_mode():
        for group in stream_segments(stream_audio(path), settings):
            segments += len(front_end(group))
            peak = max(peak, process.memory_info().rss)
    facts = examine(path)
    peak = max(peak, process.memory_info().rss)
    peaks.append({"segments": segments, "duration_s": facts.duration_s, "peak": facts.peak, "megabytes": peak / 2**20})
print(json.dumps(peaks))
"""


@pytest.mark.slow
def test_is_flat_over_two_hours(tmp_path):
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(44_100 * 10) / 44_100)
    minute = np.tile(np.stack([tone, 0.5 * tone], axis=1), (6, 1)) + rng.uniform(-1e-4, 1e-4, (44_100 * 60, 2))
    minute = (minute * 2**15).astype(np.int16)
    for name, minutes in (("short", 15), ("long", 120)):
        with soundfile.SoundFile(tmp_path / f"{name}.flac", "w", 44_100, 2, compression_level=0.0) as file:
            for _ in range(minutes):
                file.write(minute)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "short.flac"), str(tmp_path / "long.flac")],
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = json.loads(done.stdout)
    assert (short["duration_s"], long["duration_s"]) == (900, 7_200)
    assert long["segments"] == 1 + (7_200 * 16_000 - 28_800) // 19_200
    assert long["megabytes"] < 600
    # Blocks of freed memory shift a little; 105 more minutes as samples would be 400 MB.
    assert long["megabytes"] - short["megabytes"] < 30
