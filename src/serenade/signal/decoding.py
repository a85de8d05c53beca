"""Opening recordings and decoding spans of them: what is there, whether it is whole, blocks at its own rate."""

import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from logging import getLogger
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from serenade.core.errors import AudioError
from serenade.signal.media import open_media

__all__ = ["RATES", "Recording", "Samples", "open_file", "open_recording", "source_name"]

Samples = NDArray[np.float32]

RATES = (1_000, 1_000_000)
"""Least and greatest sample rate; what is outside is a damaged header, and believing it could fill the memory."""

_BLOCK_FRAMES = 65_536  # read at once, at the file's rate
_SPAN_TOLERANCE_S = 0.01  # a table's times are often rounded to hundredths
_MP3_TOLERANCE_S = 0.1  # tools that cut MP3 between frames leave the old length in the tag
# Writers that do not know the length yet put 0 or something near 2 or 4 GiB for it.
_OPEN_END = 0x7FFF_0000
_CLAIM = re.compile(r"^\s*(?:data|SSND|Data Size|Riff size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """An open recording.

    Args:
        sample_rate: its rate in Hz.
        channels: its channels, C.
        blocks: (n, C) samples that follow each other.
    """

    sample_rate: int
    channels: int
    blocks: Iterator[Samples]


def source_name(source: Path | str | bytes) -> str:
    """What to call a source in messages."""
    return "audio in memory" if isinstance(source, bytes) else str(source)


@contextmanager
def open_file(source: Path | str | bytes) -> Iterator[BinaryIO]:
    """The bytes of a recording.

    Raises:
        AudioError: there is no such file, it may not be read, or it is empty.
    """
    if isinstance(source, bytes):
        opened: BinaryIO = BytesIO(source)
        size = len(source)
    else:
        opened = _open_path(Path(source))
        size = os.fstat(opened.fileno()).st_size
    with opened as file:
        if size == 0:
            raise AudioError("the recording is empty", reason="empty", where=source_name(source), found="0 bytes")
        yield file


def _open_path(path: Path) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb")
    except FileNotFoundError as error:
        broken = path.is_symlink()
        what = "the recording is a link to a file that is not there" if broken else "there is no such recording"
        raise AudioError(what, reason="missing", where=path) from error
    except PermissionError as error:
        raise AudioError("reading is not permitted", reason="undecodable", where=path) from error
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long, a NUL in the name
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise AudioError("the path leads to no file", reason="missing", where=path, found=text) from error
    found = "a folder" if stat.S_ISDIR(mode) else "something that is not a file"
    raise AudioError("not a recording", reason="undecodable", where=path, found=found, expected="an audio file")


@contextmanager
def open_recording(source: Path | str | bytes, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Recording]:
    """Open a span of a recording.

    Args:
        source: a path, or the bytes of a file.
        start_s: where the span begins.
        end_s: where it ends; None for the end of the recording.

    Raises:
        AudioError: it cannot be read or decoded, is empty or cut short, or the span does not lie within it; also while
            the blocks are drawn.
        MissingExtraError: its format needs PyAV.
    """
    where = source_name(source)
    if not (0 <= start_s < math.inf) or (end_s is not None and not (start_s < end_s < math.inf)):
        raise _bad_span(where, start_s, end_s, "start_s >= 0 and end_s > start_s")
    with open_file(source) as file:
        reader = _Reader(file)
        try:
            sound = _open_sound(reader)
        except soundfile.LibsndfileError as error:
            sound, problem = None, error.error_string
        if sound is not None:
            with sound:
                _check_rate(sound.samplerate, where)
                blocks = _sound_blocks(sound, reader, where, start_s, end_s)
                yield Recording(sound.samplerate, sound.channels, blocks)
            return
        file.seek(0)
        with open_media(file, where, problem) as media:
            _check_rate(media.sample_rate, where)
            blocks = _span_of(media.blocks, media.sample_rate, media.duration_s, where, start_s, end_s)
            yield Recording(media.sample_rate, media.channels, blocks)


class _Reader:
    """What soundfile reads from.

    Its methods are called from C, where an exception would be printed and lost: a failed read is kept in `error` and
    reads as the end. It has no name, or soundfile would take ``x.raw`` for samples without a header.

    An MP3 without a length tag gets `endless`: its length is estimated from its first frame, and libsndfile reads no
    further than the estimate, which may be a tenth of the truth. Behind the end of an endless file lie zeros for
    whoever looks for a tag there; reading on from the true end ends.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._position = 0
        self.endless = False
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; never to before the beginning."""
        end = 1000 * self._size if self.endless else self._size
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; return how many bytes were there."""
        if self._position > self._size:
            buffer[:] = bytes(len(buffer))
            count = len(buffer) if self.endless else 0
        else:
            try:
                self._file.seek(self._position)
                data = self._file.read(len(buffer))
            except OSError as error:
                self.error, data = error, b""
            count = len(data)
            buffer[:count] = data
        self._position += count
        return count


def _open_sound(reader: _Reader) -> soundfile.SoundFile:
    sound = soundfile.SoundFile(reader)
    if sound.format == "MP3" and not _has_length_tag(reader):
        sound.close()
        reader.endless = True
        reader.seek(0)
        sound = soundfile.SoundFile(reader)
    return sound


def _has_length_tag(reader: _Reader) -> bool:
    """Whether the first frame of an MP3 says how many follow (Xing's tag, called Info at a constant rate)."""
    position = reader.tell()
    head = bytearray(4096)
    reader.seek(0)
    reader.readinto(memoryview(head))
    if head[:3] == b"ID3":
        seven_bits = head[6:10]
        reader.seek(10 + sum(byte << shift for byte, shift in zip(seven_bits, (21, 14, 7, 0), strict=True)))
        reader.readinto(memoryview(head))
    reader.seek(position)
    places = [place for place in (head.find(b"Xing"), head.find(b"Info")) if place >= 0]
    return bool(places) and bool(head[min(places) + 7] & 1)  # bit 0 of the flags: the number of frames is there


def _check_rate(rate: int, where: str) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            "the sample rate in the header cannot be right",
            reason="undecodable",
            where=where,
            found=f"{rate} Hz",
            expected=f"{RATES[0]}-{RATES[1]} Hz",
        )


def _bad_span(where: str, start_s: float, end_s: float | None, expected: str) -> AudioError:
    end = "the end" if end_s is None else f"{end_s:g} s"
    return AudioError(
        "the span does not lie in the recording",
        reason="bad span",
        where=where,
        found=f"{start_s:g} s to {end}",
        expected=expected,
    )


def _cut_short(where: str, found_s: float, promised_s: float) -> AudioError:
    return AudioError(
        "the recording is cut short",
        reason="undecodable",
        where=where,
        found=f"{found_s:.3f} s of sound",
        expected=f"{promised_s:.3f} s, as its header says",
        hint="Copy or download it again; to use what is there, convert it: ffmpeg -i OLD NEW.wav",
    )


def _empty(where: str) -> AudioError:
    return AudioError("the recording is empty", reason="empty", where=where, found="a header without samples")


def _sound_blocks(
    sound: soundfile.SoundFile, reader: _Reader, where: str, start_s: float, end_s: float | None
) -> Iterator[Samples]:
    """(n, C) blocks of a span of a soundfile."""
    rate, frames = sound.samplerate, sound.frames
    if reader.endless:
        yield from _span_of(_read(sound, reader, where), rate, None, where, start_s, end_s)
        return
    if frames == 0:
        raise _empty(where)
    _check_complete(sound, where)
    start, stop = round(start_s * rate), frames if end_s is None else round(end_s * rate)
    if start >= frames or stop <= start or stop - frames > _SPAN_TOLERANCE_S * rate:
        raise _bad_span(where, start_s, end_s, f"within 0 and {frames / rate:.3f} s")
    stop = min(stop, frames)
    position = start
    for block in _read(sound, reader, where, start, stop):
        position += len(block)
        yield block
    tolerance_s = _MP3_TOLERANCE_S if sound.format == "MP3" else 0.0
    if stop - position > tolerance_s * rate:
        raise _cut_short(where, position / rate, frames / rate)


def _read(
    sound: soundfile.SoundFile, reader: _Reader, where: str, start: int = 0, stop: int | None = None
) -> Iterator[Samples]:
    """Frames from `start` until `stop` or as far as there are any."""
    position = start
    try:
        if start:
            sound.seek(start)
        while stop is None or position < stop:
            count = _BLOCK_FRAMES if stop is None else min(_BLOCK_FRAMES, stop - position)
            block = sound.read(count, dtype="float32", always_2d=True)
            if len(block) == 0:
                break
            position += len(block)
            yield block
    except soundfile.LibsndfileError as error:
        raise AudioError(
            "the recording is damaged or cut short",
            reason="undecodable",
            where=where,
            found=f"{error.error_string.rstrip('.')} after {position / sound.samplerate:.3f} s",
            hint="Copy or download it again",
        ) from error
    if reader.error is not None:
        raise AudioError(
            "the recording cannot be read from its disk", reason="undecodable", where=where, found=reader.error.strerror
        ) from reader.error


def _check_complete(sound: soundfile.SoundFile, where: str) -> None:
    """Refuse a file whose header promises more than it holds, which libsndfile only notes in its log."""
    notes = sound.extra_info
    claim = _CLAIM.search(notes)
    if claim is not None:
        promised, there = int(claim[1]), int(claim[2])
        found_s = sound.frames / sound.samplerate
        promised_s = found_s * promised / max(there, 1)
        if 0 < promised < _OPEN_END and (promised_s - found_s) * sound.samplerate >= 1:
            raise _cut_short(where, found_s, promised_s)
    if "lacks an end-of-stream bit" in notes:  # so ends also a live stream that was recorded as it came
        _log.warning("%s has no end mark: it may be cut short", where)


def _span_of(
    blocks: Iterable[Samples], rate: int, duration_s: float | None, where: str, start_s: float, end_s: float | None
) -> Iterator[Samples]:
    """(n, C) blocks of a span of what is decoded from its beginning and whose length is certain only at its end."""
    start, stop = round(start_s * rate), None if end_s is None else round(end_s * rate)
    position = 0
    for block in blocks:
        part = block[max(0, start - position) : None if stop is None else max(0, stop - position)]
        position += len(block)
        if len(part):
            yield part
        if stop is not None and position >= stop > start:
            return
    if position == 0:
        raise _empty(where)
    if stop is None and duration_s is not None and duration_s - position / rate > max(0.5, 0.02 * duration_s):
        raise _cut_short(where, position / rate, duration_s)
    past_end = stop is not None and stop - position > _SPAN_TOLERANCE_S * rate
    if start >= position or past_end or stop == start:
        raise _bad_span(where, start_s, end_s, f"within 0 and {position / rate:.3f} s")
