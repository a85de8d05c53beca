"""Emotional speech that Serenade synthesises itself: nothing to download, nobody's voice, for demos and tests.

`voices.py` makes sound from parameters, `expression.py` draws the parameters of made-up speakers; here they become a
corpus: a folder of recordings of pseudo-sentences, every sentence in every emotion, and a table that names them and
the parameters each was made from. A score on it says that a system works, and nothing about people.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from serenade.core.errors import CorpusError, StorageError, UsageError
from serenade.core.files import read_json, storage_errors, write_bytes, write_json, write_text
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, read_rows
from serenade.corpora.expression import Speaker, draw_delivery, draw_speaker, random_stream
from serenade.corpora.layout import require_root
from serenade.corpora.voices import SAMPLE_RATE, Delivery, synthesise

__all__ = ["CORPUS", "DEFAULT_CLASSES", "SENTENCES", "generate", "list_files", "list_generated", "long_recording"]

_MARK, _TABLE = "synthetic.json", "synthetic.csv"
_COLUMNS = ("file", "speaker", "gender", "emotion", "text")
_RECIPE = 1  # raise it when the same seed gives other files
DEFAULT_CLASSES = ("angry", "happy", "neutral", "sad")

SENTENCES = (
    "manole kedi, suna pitoge",
    "bogi ralune, teko fishan",
    "silomu dage, wani kobel",
    "jalo nimeki, padu zorila",
    "velika motun, saroge pil",
    "shado beluni, gati remok",
    "nugera tolim, kasi wodel",
    "pimola jude, rashi tanebo",
    "luneka fosi, mari begotu",
    "dorami senku, palo vigun",
    "kelino zabut, moshi rade",
    "tugale mino, foki jasule",
)


# ------------------------------------------------------------------------------------------------ recordings


@dataclass(frozen=True, slots=True)
class _Take:
    """One recording of the corpus before it is made."""

    file: str
    speaker: Speaker
    emotion: str
    number: int
    text: str
    strength: float
    delivery: Delivery


def _draw_take(speaker: Speaker, emotion: str, number: int, seed: int) -> _Take:
    delivery, strength = draw_delivery(speaker, emotion, number, seed)
    text = SENTENCES[(number - 1) % len(SENTENCES)]
    file = f"{speaker.name}/{speaker.name}-{emotion}-{number:02d}.flac"
    return _Take(file, speaker, emotion, number, text, strength, delivery)


def _record(take: _Take, seed: int) -> NDArray[np.int16]:
    """Speech with a breath of silence around it, over the speaker's background: (T,) int16 at `SAMPLE_RATE`."""
    generator = random_stream(seed, "sound", take.speaker.name, take.emotion, take.number)
    speech = synthesise(take.text, take.delivery, generator)
    before, after = (round(SAMPLE_RATE * generator.uniform(0.08, 0.22)) for _ in range(2))
    waveform = np.pad(speech, (before, after))
    waveform *= min(1.0, 0.9 / float(np.abs(waveform).max()))  # a recordist turns down what would clip
    waveform += _background(len(waveform), take.speaker.noise_db, generator)
    return np.rint(waveform * 32767).astype(np.int16)


def _background(samples: int, level_db: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Noise that falls off towards high frequencies like a quiet room's, by 19 dB from 0 to 8 kHz."""
    kernel = np.float32(0.8) ** np.arange(24, dtype=np.float32)
    kernel /= np.sqrt(np.sum(kernel**2))
    white = generator.normal(size=samples + len(kernel) - 1).astype(np.float32)
    room = np.convolve(white, kernel, mode="valid")
    return np.asarray(room * np.float32(10 ** (level_db / 20)), np.float32)


# ------------------------------------------------------------------------------------------------ the corpus

_README = """\
# Synthetic emotional speech

Every recording in this folder was synthesised by Serenade (`serenade.corpora.synthetic`) from the parameters in
`synthetic.csv`. No person spoke here: voices, words and emotions are made up by a parametric source-filter model.
A score on these recordings shows that software works; it says nothing about how well it understands people.

Settings: `synthetic.json`. The same settings make the same files again. Dedicated to the public domain (CC0 1.0).
"""


def generate(
    folder: Path,
    *,
    speakers: int = 8,
    utterances_per_class: int = 8,
    classes: Sequence[str] = DEFAULT_CLASSES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the corpus into a folder: 16-bit FLAC files, `synthetic.csv` and a README.

    Files are written whole, the table last: an interrupted call is taken up where it stopped, a finished folder is
    left as it is, and the same settings always make the same files (byte for byte on one machine).

    Args:
        folder: made where it does not exist; it may hold nothing but this corpus with these settings.
        speakers: how many, from 2; odd numbers are female, even ones male. The first speakers stay the same when
            there are more.
        utterances_per_class: recordings per speaker and emotion; all emotions say the same sentences.
        classes: at least two names of `PROFILES`.
        seed: the same seed draws the same speakers and renderings.
        progress: called with (done, total) after each recording.

    Raises:
        CorpusError: the folder holds something else, or this corpus with other settings.
        StorageError: the disk is full or refuses.
        UnknownNameError: there is no such emotion.
        UsageError: a number or list of classes that is not possible.
    """
    _check(speakers, utterances_per_class, classes)
    settings = {
        "kind": "synthetic emotional speech by Serenade",
        "recipe": _RECIPE,
        "speakers": speakers,
        "utterances_per_class": utterances_per_class,
        "classes": list(classes),
        "seed": seed,
    }
    takes = [
        _draw_take(draw_speaker(number, seed), emotion, take, seed)
        for number in range(1, speakers + 1)
        for emotion in classes
        for take in range(1, utterances_per_class + 1)
    ]
    _claim(folder, settings)
    for done, take in enumerate(takes, start=1):
        path = folder / take.file
        if not path.exists():
            write_bytes(path, _flac(_record(take, seed)))
        if progress is not None:
            progress(done, len(takes))
    write_text(folder / "README.md", _README)
    write_text(folder / _TABLE, _table(takes))


def _check(speakers: int, utterances_per_class: int, classes: Sequence[str]) -> None:
    for name, value, lowest in (("speakers", speakers, 2), ("utterances_per_class", utterances_per_class, 1)):
        if not lowest <= value <= 99:
            raise UsageError(f"the synthetic corpus cannot have {name}={value}", expected=f"{lowest} to 99")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UsageError(
            "the synthetic corpus needs at least two different classes", found=", ".join(classes) or "none"
        )


def _claim(folder: Path, settings: dict[str, object]) -> None:
    """Make the folder this corpus's own, or see that it is."""
    mark = folder / _MARK
    if mark.is_file():
        found = _read_settings(mark)
        if found != settings:
            differing = {key: found.get(key) for key, value in settings.items() if found.get(key) != value}
            raise CorpusError(
                "the folder holds a synthetic corpus with other settings",
                where=folder,
                found=", ".join(f"{key}={value}" for key, value in differing.items()),
                expected=", ".join(f"{key}={settings[key]}" for key in differing),
                hint="Choose another folder, or remove this one",
            )
        return
    if folder.exists() and not _is_empty(folder):
        raise CorpusError(
            "cannot put a synthetic corpus here",
            where=folder,
            found="something else",
            expected="a new or empty folder",
            hint="Choose another folder",
        )
    write_json(mark, settings)


def _read_settings(mark: Path) -> dict[str, object]:
    try:
        return dict(read_json(mark))
    except (ValueError, TypeError) as error:
        raise CorpusError(
            "the settings of the synthetic corpus are damaged",
            where=mark,
            found=str(error),
            hint="Remove the folder, or choose another",
        ) from error


def _is_empty(folder: Path) -> bool:
    """Whether it is a folder without files but hidden ones, as a file browser or a writer just beginning leaves."""
    return folder.is_dir() and all(path.name.startswith(".") for path in folder.iterdir())


def _flac(samples: NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _table(takes: Sequence[_Take]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    parameters = [field.name for field in fields(Delivery)]
    writer.writerow([*_COLUMNS, "strength", *parameters])
    for take in sorted(takes, key=lambda take: take.file):
        numbers = (f"{value:.6g}" for value in (take.strength, *asdict(take.delivery).values()))
        writer.writerow([take.file, take.speaker.name, take.speaker.gender, take.emotion, take.text, *numbers])
    return buffer.getvalue()


def list_files(root: Path) -> Listing:
    """The recordings that `synthetic.csv` names.

    Raises:
        CorpusError: there is no finished synthetic corpus; the message names a neighbour that has one.
    """
    if (root / _MARK).is_file() and not (root / _TABLE).is_file():
        raise CorpusError(
            "the synthetic corpus is not finished",
            where=root,
            found=f"{_MARK} without {_TABLE}",
            hint="Generate it again with the same settings; what is there is kept",
        )
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    return list_generated(root / _TABLE, _COLUMNS, _utterance)


def list_generated(table: Path, columns: Sequence[str], make: Callable[[Path, Row], Utterance]) -> Listing:
    """What the table of a generated corpus names and what lies beside it.

    Args:
        table: with a column ``file``.
        columns: that every row has.
        make: an utterance from the corpus's folder and a row.

    Raises:
        CorpusError: the table cannot be read, or a row lacks a cell.
    """
    utterances, left_out = [], []
    for row in read_rows(table, {name: name for name in columns}, needed="file"):
        missing = [name for name in columns if name not in row.cells]
        if missing:
            raise CorpusError(
                "the table of the generated corpus is damaged",
                where=f"{table}, line {row.line}",
                found=f"no {', '.join(missing)}",
                hint=f"Remove {table.name} and generate the corpus again with the same settings",
            )
        if (table.parent / row.cells["file"]).is_file():
            utterances.append(make(table.parent, row))
        else:
            left_out.append(LeftOut(row.cells["file"], "missing", f"named in {table.name}"))
    return Listing(tuple(sorted(utterances, key=lambda utterance: utterance.id)), tuple(left_out))


def _looks_right(root: Path) -> bool:
    return (root / _TABLE).is_file()


def _utterance(root: Path, row: Row) -> Utterance:
    cells = row.cells
    return Utterance(
        id=Path(cells["file"]).stem,
        audio=root / cells["file"],
        corpus="synthetic",
        speaker=cells["speaker"],
        emotion=cells["emotion"],
        gender=cells["gender"],
        sentence=cells["text"],
        text=cells["text"],
        extra=dict(row.extra),
    )


CORPUS = Corpus(
    name="synthetic",
    title="synthetic voices (made by Serenade, nobody's speech)",
    language=None,
    licence="CC0 1.0",
    citation="Serenade: synthetic emotional speech (serenade.corpora.synthetic).",
    homepage="docs/corpora/synthetic.md",
    commercial_use=True,
    list_files=list_files,
    looks_right=_looks_right,
    layout=f"a folder written by Serenade, with {_TABLE} and a folder of recordings per speaker",
    notes="Synthetic: a score shows that the software works and says nothing about people's emotions.",
)


# ------------------------------------------------------------------------------------------------ long recordings

_TURN_SPEAKERS = 4
_TURN_TAKES = 3  # 4 speakers x 4 emotions x 3: at most 48 turns are synthesised, 3.5 MB, and used again and again
_PAUSE_S = (0.1, 0.6)
_SHORTEST_S, _LONGEST_S = 5.0, 24 * 3600.0


def long_recording(path: Path, duration_s: float, *, seed: int = 0) -> tuple[Utterance, ...]:
    """Write one long recording of turns with changing speaker and emotion, for benchmarks and tests.

    It is streamed to the disk: memory does not grow with the length. The file appears when it is whole.

    Args:
        path: its suffix says the format, .flac or .wav; 16 kHz, one channel, 16 bit.
        duration_s: length in seconds, 5 to 86,400.
        seed: the same seed makes the same recording.

    Returns:
        The turns in order, with start, end, speaker and emotion; pauses lie between them.

    Raises:
        StorageError: the disk is full or refuses.
        UsageError: a length or suffix that is not possible.
    """
    if not _SHORTEST_S <= duration_s <= _LONGEST_S:
        raise UsageError(
            "cannot make a recording of this length",
            found=f"{duration_s} s",
            expected=f"{_SHORTEST_S:.0f} to {_LONGEST_S:.0f} s",
        )
    if path.suffix not in (".flac", ".wav"):
        raise UsageError("cannot write this kind of file", where=path, expected="a name that ends in .flac or .wav")
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with soundfile.SoundFile(partial, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
                turns = _write_turns(file, path, round(duration_s * SAMPLE_RATE), seed)
            partial.replace(path)
        except soundfile.LibsndfileError as error:
            raise StorageError("cannot write the recording", where=path, found=str(error)) from error
        finally:
            partial.unlink(missing_ok=True)
    return turns


def _write_turns(file: soundfile.SoundFile, path: Path, samples: int, seed: int) -> tuple[Utterance, ...]:
    generator = random_stream(seed, "long recording")
    room = np.rint(32767 * _background(SAMPLE_RATE, -60.0, generator)).astype(np.int16)
    made: dict[str, NDArray[np.int16]] = {}
    turns: list[Utterance] = []
    written = 0
    while True:
        take = _next_turn(turns, generator, seed)
        if take.file not in made:
            made[take.file] = _record(take, seed)
        start = written + round(SAMPLE_RATE * generator.uniform(*_PAUSE_S))
        end = start + len(made[take.file])
        if end > samples:
            file.write(np.resize(room, samples - written))
            return tuple(turns)
        file.write(room[: start - written])
        file.write(made[take.file])
        turns.append(_turn(take, path, len(turns), start / SAMPLE_RATE, end / SAMPLE_RATE))
        written = end


def _next_turn(turns: Sequence[Utterance], generator: np.random.Generator, seed: int) -> _Take:
    """A turn whose speaker or emotion is another than that of the turn before."""
    while True:
        speaker, number = (int(generator.integers(1, most + 1)) for most in (_TURN_SPEAKERS, _TURN_TAKES))
        emotion = DEFAULT_CLASSES[int(generator.integers(len(DEFAULT_CLASSES)))]
        take = _draw_take(draw_speaker(speaker, seed), emotion, number, seed)
        if not turns or (turns[-1].speaker, turns[-1].emotion) != (take.speaker.name, emotion):
            return take


def _turn(take: _Take, path: Path, number: int, start_s: float, end_s: float) -> Utterance:
    return Utterance(
        id=f"{path.stem}-{number:05d}",
        audio=path,
        corpus="synthetic",
        speaker=take.speaker.name,
        emotion=take.emotion,
        start_s=start_s,
        end_s=end_s,
        gender=take.speaker.gender,
        sentence=take.text,
        text=take.text,
        duration_s=end_s - start_s,
    )
