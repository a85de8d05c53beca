"""Clips of drawn faces with synthetic voices and made-up words: for demos and tests of systems that look and listen.

Emotion is in the face (`drawn_faces`), in the voice (`voices`, `expression`) and in the words (`WORDS`); in a share of
the clips one of the three shows another emotion, so that none of them alone is always right and all together nearly
are. A score on it says that a system works, and nothing about people.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import CorpusError, MissingExtraError, UsageError
from serenade.core.files import read_json, storage_errors, write_json, write_text
from serenade.core.records import Listing, Utterance, Video
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row
from serenade.corpora.drawn_faces import PICTURE_SIDE, draw_expression, draw_face, draw_looks
from serenade.corpora.expression import draw_delivery, draw_speaker, random_stream
from serenade.corpora.layout import require_root
from serenade.corpora.synthetic import list_generated
from serenade.corpora.voices import SAMPLE_RATE, synthesise

__all__ = ["CORPUS", "WORDS", "generate_clips", "list_files"]

_MARK, _TABLE = "synthetic-av.json", "synthetic-av.csv"
_COLUMNS = ("file", "speaker", "gender", "emotion", "text", "face", "voice", "words")
_CLASSES = ("angry", "happy", "neutral", "sad")
_RATE = 10  # pictures a second
_BIT_RATE = 1_500_000  # with which the coded pictures are hardly worse than the drawn ones

WORDS: dict[str, tuple[str, ...]] = {
    "angry": ("gratok", "zabruk", "kradig", "tagrok"),
    "bored": ("lomanu", "numolo", "monalu", "wolumo"),
    "fearful": ("fisheti", "shivapi", "tefishu", "pisheva"),
    "happy": ("lilano", "jileva", "sunila", "vilajo"),
    "neutral": ("medato", "poneda", "tamode", "denapo"),
    "sad": ("onuwe", "wunalo", "meluno", "nolewu"),
}
"""Words that tell an emotion; the others of a sentence tell nothing."""

_FILLERS = ("kedi", "suna", "ralune", "teko", "wani", "dage", "padu", "pil", "gati", "remok", "rade", "begotu")

_README = """\
# Drawn faces, synthetic voices, made-up words

Every clip in this folder was made by Serenade (`serenade.corpora.synthetic_av`): no person is seen or heard. In the
table, `face`, `voice` and `words` say which emotion each of them shows; `emotion` is that of at least two.
A score on these clips shows that software works; it says nothing about how well it understands people.

Settings: `synthetic-av.json`. Dedicated to the public domain (CC0 1.0).
"""


@dataclass(frozen=True, slots=True)
class _Take:
    """One clip before it is made."""

    file: str
    speaker: int
    number: int
    emotion: str
    face: str
    voice: str
    words: str
    text: str


def generate_clips(
    folder: Path,
    *,
    speakers: int = 6,
    clips_per_class: int = 6,
    classes: Sequence[str] = _CLASSES,
    odd_share: float = 0.3,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the corpus into a folder: mp4 clips with sound, `synthetic-av.csv` and a README.

    Clips are written whole, the table last: an interrupted call is taken up where it stopped, and the same settings
    make the same corpus.

    Args:
        folder: made where it does not exist; it may hold nothing but this corpus with these settings.
        speakers: how many, from 2.
        clips_per_class: clips per speaker and emotion.
        classes: at least two names of `WORDS`.
        odd_share: share of the clips in which one of face, voice and words shows another emotion.
        seed: the same seed draws the same people and clips.
        progress: called with (done, total) after each clip.

    Raises:
        CorpusError: the folder holds something else, or this corpus with other settings.
        MissingExtraError: PyAV is not installed.
        StorageError: the disk is full or refuses.
        UsageError: a number or list of classes that is not possible.
    """
    _check(speakers, clips_per_class, classes, odd_share)
    settings = {
        "kind": "drawn faces with synthetic voices by Serenade",
        "speakers": speakers,
        "clips_per_class": clips_per_class,
        "classes": list(classes),
        "odd_share": odd_share,
        "seed": seed,
    }
    _claim(folder, settings)
    takes = [
        _draw_take(speaker, emotion, number, classes, odd_share, seed)
        for speaker in range(1, speakers + 1)
        for emotion in classes
        for number in range(1, clips_per_class + 1)
    ]
    for done, take in enumerate(takes, start=1):
        if not (folder / take.file).exists():
            _write_clip(folder / take.file, take, seed)
        if progress is not None:
            progress(done, len(takes))
    write_text(folder / "README.md", _README)
    write_text(folder / _TABLE, _table(takes, seed))


def _check(speakers: int, clips_per_class: int, classes: Sequence[str], odd_share: float) -> None:
    for name, value, lowest in (("speakers", speakers, 2), ("clips_per_class", clips_per_class, 1)):
        if not lowest <= value <= 99:
            raise UsageError(f"the generated clips cannot have {name}={value}", expected=f"{lowest} to 99")
    unknown = [name for name in classes if name not in WORDS]
    if unknown or len(set(classes)) < max(2, len(classes)):
        raise UsageError(
            "the generated clips cannot have these classes",
            found=", ".join(classes) or "none",
            expected=f"two or more of {', '.join(WORDS)}, each once",
        )
    if not 0 <= odd_share <= 1:
        raise UsageError("odd_share is a share of the clips", found=odd_share, expected="0 to 1")


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Make the folder this corpus's own, or see that it is."""
    mark = folder / _MARK
    if mark.is_file():
        if read_json(mark) != settings:
            raise CorpusError(
                "the folder holds generated clips with other settings",
                where=folder,
                hint="Choose another folder, or remove this one",
            )
    elif folder.exists() and any(folder.iterdir()):
        raise CorpusError(
            "cannot put generated clips here", where=folder, found="something else", expected="a new or empty folder"
        )
    else:
        write_json(mark, settings)


def _draw_take(speaker: int, emotion: str, number: int, classes: Sequence[str], odd_share: float, seed: int) -> _Take:
    generator = random_stream(seed, "clip", speaker, emotion, number)
    shown = dict.fromkeys(("face", "voice", "words"), emotion)
    if generator.uniform() < odd_share:
        others = [name for name in classes if name != emotion]
        shown[str(generator.choice(list(shown)))] = str(generator.choice(others))
    words = [*generator.choice(_FILLERS, 3), *generator.choice(WORDS[shown["words"]], 2)]
    text = " ".join(str(word) for word in generator.permutation(words))
    return _Take(
        f"s{speaker:02d}/s{speaker:02d}-{emotion}-{number:02d}.mp4", speaker, number, emotion, **shown, text=text
    )


def _write_clip(path: Path, take: _Take, seed: int) -> None:
    """Sound and pictures as one file, which appears when it is whole."""
    sound = _sound(take, seed)
    pictures = _pictures(take, len(sound) / SAMPLE_RATE, seed)
    partial = path.with_name(f".{path.stem}.part.mp4")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _mux(partial, sound, pictures)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _sound(take: _Take, seed: int) -> NDArray[np.float32]:
    speaker = draw_speaker(take.speaker, seed)
    delivery, _ = draw_delivery(speaker, take.voice, take.number, seed)
    generator = random_stream(seed, "sound of a clip", take.speaker, take.emotion, take.number)
    speech = np.pad(synthesise(take.text, delivery, generator), round(0.1 * SAMPLE_RATE))
    speech = speech * min(1.0, 0.9 / float(np.abs(speech).max()))
    noise = 10 ** (speaker.noise_db / 20) * generator.normal(size=len(speech))
    return np.asarray(speech + noise, dtype=np.float32)


def _pictures(take: _Take, duration_s: float, seed: int) -> list[NDArray[np.uint8]]:
    """Ten a second; the mouth moves with the syllables, the head a little."""
    looks = draw_looks(random_stream(seed, "looks", take.speaker))
    generator = random_stream(seed, "pictures", take.speaker, take.emotion, take.number)
    expression = draw_expression(take.face, generator.uniform(0.8, 1.2), generator)
    count = max(1, round(duration_s * _RATE))
    sway = np.cumsum(generator.normal(scale=0.01, size=(count, 2)), axis=0).clip(-0.06, 0.06)
    talk = generator.uniform(0, 1, count)
    return [
        draw_face(looks, expression, talk=float(talk[number]), shift=(float(sway[number, 0]), float(sway[number, 1])))
        for number in range(count)
    ]


def _mux(path: Path, sound: NDArray[np.float32], pictures: Sequence[NDArray[np.uint8]]) -> None:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="media", purpose="writing clips") from error
    with av.open(str(path), "w") as container:
        seen = container.add_stream("mpeg4", rate=_RATE, bit_rate=_BIT_RATE)
        seen.width = seen.height = PICTURE_SIDE
        seen.pix_fmt = "yuv420p"
        seen.codec_context.thread_count = 1  # of so small pictures more would wait for each other
        heard = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", bit_rate=96_000)
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            container.mux(seen.encode(frame))
        container.mux(seen.encode())
        samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = SAMPLE_RATE, 0
        container.mux(heard.encode(samples))
        container.mux(heard.encode())


def _table(takes: Sequence[_Take], seed: int) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for take in sorted(takes, key=lambda take: take.file):
        speaker = draw_speaker(take.speaker, seed)
        shown = (take.face, take.voice, take.words)
        writer.writerow([take.file, speaker.name, speaker.gender, take.emotion, take.text, *shown])
    return buffer.getvalue()


def list_files(root: Path) -> Listing:
    """The clips that `synthetic-av.csv` names.

    Raises:
        CorpusError: there is no finished corpus of generated clips.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    return list_generated(root / _TABLE, _COLUMNS, _utterance)


def _looks_right(root: Path) -> bool:
    return (root / _TABLE).is_file()


def _utterance(root: Path, row: Row) -> Utterance:
    cells = row.cells
    clip = root / cells["file"]
    return Utterance(
        id=clip.stem,
        audio=clip,
        corpus="synthetic-av",
        speaker=cells["speaker"],
        emotion=cells["emotion"],
        gender=cells["gender"],
        text=cells["text"],
        extra={name: cells[name] for name in ("face", "voice", "words")},
        video=Video(clip),
    )


CORPUS = Corpus(
    name="synthetic-av",
    title="drawn faces with synthetic voices (made by Serenade, nobody's)",
    language=None,
    licence="CC0 1.0",
    citation="Serenade: drawn faces with synthetic voices (serenade.corpora.synthetic_av).",
    homepage="docs/mesm.md",
    commercial_use=True,
    list_files=list_files,
    looks_right=_looks_right,
    layout=f"a folder written by Serenade, with {_TABLE} and a folder of clips per person",
    notes="Generated: a score shows that the software works and says nothing about people's emotions.",
)
