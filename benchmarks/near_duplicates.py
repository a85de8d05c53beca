"""How surely copies of a take are found, and how often different takes are called copies.

    python benchmarks/near_duplicates.py FOLDER [--copies 40]

FOLDER holds one folder per corpus, of any format. False alarms: all pairs of all recordings; every pair that is found
is listed with the correlation of its waveforms at the best alignment, which tells a real copy (1) from another take
(below 0.5). Detection: some recordings of every corpus are copied in each way, and looked for among all recordings.

Last results (2026-11-21, --copies 10; libopus and LAME of PyAV 18.1; RAVDESS, EMO-DB, nEMO, TurEV-DB, EmotionTTS-ko and
a sample of LibriSpeech, all 16 kHz):

    8805 recordings, 6.42 h; found among 38,759,610 pairs: 1
        03-01-03-01-02-01-07.opus ~ 03-01-03-01-02-02-07.opus: 0.000 of bits, correlation 1.000

    copy                          made   found  wrong bits    95 %  others
    FLAC, 16 bit                    60  100.0%       0.000   0.000       0
    Opus, 16 kbit/s                 60   95.0%       0.099   0.138       0
    Opus, 32 kbit/s                 60  100.0%       0.074   0.112       0
    MP3, 32 kbit/s                  60  100.0%       0.056   0.075       0
    MP3, 64 kbit/s                  60  100.0%       0.017   0.033       0
    8 kHz                           60  100.0%       0.000   0.000       0
    44.1 kHz                        60  100.0%       0.000   0.000       0
    12 dB softer, 16 bit            60  100.0%       0.003   0.008       0
    12 dB louder, clipped           60  100.0%       0.045   0.162       0
    0.2 s cut at both ends          60   98.3%       0.068   0.113       0
    0.5 s cut at both ends          50  100.0%       0.066   0.106       0
    white noise, 30 dB below        60  100.0%       0.033   0.101       0
    white noise, 20 dB below        60   95.0%       0.072   0.108       0
    white noise, 10 dB below        60   55.0%       0.149   0.173       0
    cut, 6 dB softer, Opus 16       60   95.0%       0.119   0.159       0
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from serenade.corpora.layout import is_sound, walk_files
from serenade.signal.audio import read_audio
from serenade.signal.fingerprints import Fingerprint, fingerprint_of
from serenade.signal.near_duplicates import find_matches

RATE = 16_000
LEAST_S = 1.0  # shorter recordings are not copied: nothing would be left of them after cutting

Sound = NDArray[np.float32]


def read(path: Path) -> Sound:
    samples: Sound = read_audio(path).numpy()
    return samples


def coded(sound: Sound, codec: str, container: str, rate: int, kilobits: int) -> Sound:
    """The sound after a lossy codec at a bit rate."""
    file = BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.bit_rate, stream.layout = 1000 * kilobits, "mono"
        samples = np.clip(soxr.resample(sound, RATE, rate), -1, 1)
        form = "s16" if codec == "libopus" else "s16p"
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format=form, layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    decoded: Sound = read_audio(file.getvalue()).numpy()
    return decoded


def copies(sound: Sound, rng: np.random.Generator) -> Iterator[tuple[str, Sound, int]]:
    """Copies of a recording: what was done, samples, rate."""
    rounded = np.round(sound * 10 ** (-12 / 20) * 32768) / 32768
    yield "FLAC, 16 bit", (np.round(sound * 32768) / 32768).astype(np.float32), RATE
    yield "Opus, 16 kbit/s", coded(sound, "libopus", "ogg", 48_000, 16), RATE
    yield "Opus, 32 kbit/s", coded(sound, "libopus", "ogg", 48_000, 32), RATE
    yield "MP3, 32 kbit/s", coded(sound, "libmp3lame", "mp3", RATE, 32), RATE
    yield "MP3, 64 kbit/s", coded(sound, "libmp3lame", "mp3", RATE, 64), RATE
    yield "8 kHz", soxr.resample(sound, RATE, 8_000), 8_000
    yield "44.1 kHz", soxr.resample(sound, RATE, 44_100), 44_100
    yield "12 dB softer, 16 bit", rounded.astype(np.float32), RATE
    yield "12 dB louder, clipped", np.clip(sound * 10 ** (12 / 20), -1, 1).astype(np.float32), RATE
    for cut_s in (0.2, 0.5):
        begin, end = (round((cut_s + rng.uniform(0, 0.02)) * RATE) for _ in range(2))
        if len(sound) - begin - end >= 0.7 * RATE:
            yield f"{cut_s} s cut at both ends", sound[begin : len(sound) - end], RATE
    for snr_db in (30, 20, 10):
        noise = rng.standard_normal(len(sound)) * np.sqrt(np.mean(sound**2)) * 10 ** (-snr_db / 20)
        yield f"white noise, {snr_db} dB below", (sound + noise).astype(np.float32), RATE
    begin = round((0.15 + rng.uniform(0, 0.02)) * RATE)
    if len(sound) - 2 * begin >= 0.7 * RATE:
        yield "cut, 6 dB softer, Opus 16", coded(sound[begin:-begin] * 0.5, "libopus", "ogg", 48_000, 16), RATE


def correlation(one: Sound, two: Sound) -> float:
    """Largest normalised correlation over all alignments."""
    size = 1 << (len(one) + len(two)).bit_length()
    products = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(two, size)))
    return float(np.abs(products).max() / np.sqrt(np.sum(one**2) * np.sum(two**2)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=40, help="recordings of each corpus that are copied")
    arguments = parser.parse_args()
    paths = [path for path in walk_files(arguments.folder) if is_sound(path)]
    began = time.process_time()
    prints = [fingerprint_of([read(path)], RATE) for path in paths]
    made_s, began = time.process_time() - began, time.process_time()
    matches = find_matches(prints)
    compared_s = time.process_time() - began
    usable = sum(len(found) > 0 for found in prints)
    print(f"{len(paths)} recordings, {sum(map(len, prints)) / 40 / 3600:.2f} h, {usable} of them with a fingerprint")
    print(f"{made_s:.1f} CPU s to decode and fingerprint, {compared_s:.1f} CPU s to compare")
    print(f"found among {usable * (usable - 1) // 2:,} pairs: {len(matches)}")
    for match in matches:
        one, two = paths[match.first], paths[match.second]
        alike = correlation(read(one), read(two))
        print(f"    {one.name} ~ {two.name}: {match.bit_error_rate:.3f} of bits, correlation {alike:.3f}")
    print_detection(paths, prints, arguments.folder, arguments.copies)


def print_detection(paths: list[Path], prints: list[Fingerprint], folder: Path, count: int) -> None:
    """Copies of some recordings of every corpus, looked for among all recordings at once."""
    rng = np.random.default_rng(0)
    by_corpus: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(paths):
        if len(prints[place]) >= LEAST_S * 40:
            by_corpus[path.relative_to(folder).parts[0]].append(place)
    made: list[tuple[str, int, Fingerprint]] = []
    for places in by_corpus.values():
        for place in rng.permutation(places)[:count]:
            made += [(k, int(place), fingerprint_of([s], r)) for k, s, r in copies(read(paths[place]), rng)]
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for match in find_matches([*prints, *(copy for _, _, copy in made)], lambda one, two: one < len(prints) <= two):
        found[match.second - len(prints)][match.first] = match.bit_error_rate
    print(f"\n{'copy':28}{'made':>6}{'found':>8}{'wrong bits':>12}{'95 %':>8}{'others':>8}")
    for kind in dict.fromkeys(kind for kind, _, _ in made):
        of_kind = [number for number, (name, _, _) in enumerate(made) if name == kind]
        rates = [found[n][made[n][1]] for n in of_kind if made[n][1] in found[n]]
        others = sum(len(found[n].keys() - {made[n][1]}) for n in of_kind)
        share = f"{len(rates) / len(of_kind):.1%}"
        wrong = f"{np.mean(rates):.3f}", f"{np.quantile(rates, 0.95):.3f}"
        print(f"{kind:28}{len(of_kind):>6}{share:>8}{wrong[0]:>12}{wrong[1]:>8}{others:>8}")


if __name__ == "__main__":
    main()
