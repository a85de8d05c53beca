"""RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song: here its speech, North American English.

Recorded in Toronto, published in 2018. Twenty-four professional actors, twelve women and twelve men, say two sentences
of equal form ("Kids are talking by the door", "Dogs are sitting by the door") neutrally, calmly, happily, sadly,
angrily, fearfully, in disgust and in surprise; all but neutral in two intensities; everything twice. 60 recordings an
actor, 1440 in all, perfectly balanced but for neutral, which has half. Calm was added because neutral alone is often
heard as cold; the two are hard to tell apart, also for people.

The corpus also has song (23 actors) and video of everything. A name says what it is by seven numbers, such as
``03-01-06-01-02-01-12``: modality (01 video with sound, 02 video alone, 03 sound alone), channel (01 speech), emotion,
intensity, statement, repetition, actor. Odd actors are men, even ones women. Song found in the same folder is named in
the report and left out.

The three modalities of the same other numbers are one take. Where its video is there, the utterance has it; where the
video is there and no sound, the sound of the video is read. Either way the id is that of the sound, ``03-...``.

Two sentences only: whatever is tested was trained on with the same words.

Citation: S. R. Livingstone, F. A. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)",
PLoS ONE 13(5): e0196391, 2018.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance, Video
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import is_video
from serenade.corpora.layout import gather, is_sound, require_root, walk_files

__all__ = ["CORPUS", "list_files"]

_ACTOR_FOLDER = re.compile(r"Actor_(\d\d)", re.IGNORECASE)
_SPEECH_FOLDER = "audio_speech_actors_01-24"  # of the official archive, in lower case

_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
}
_MODALITIES = {"01": "video with sound", "02": "video without sound", "03": "sound"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_REPETITIONS = ("01", "02")
_ACTORS = 24
_FILM = re.compile(r"0[12](?P<take>-01(?:-\d\d){5})")  # of speech, with sound or without


def list_files(root: Path) -> Listing:
    """The speech recordings below the folder that holds ``Actor_01`` to ``Actor_24``, by name alone.

    Raises:
        CorpusError: there are no such folders; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    # a README or a table beside the actors' folders is no recording that could be missed
    paths = [path for path in walk_files(root) if is_sound(path) or _ACTOR_FOLDER.fullmatch(path.parent.name)]
    return _with_films(root, gather(root, paths, _read_name), paths)


def _with_films(root: Path, listing: Listing, paths: Iterable[Path]) -> Listing:
    """The same takes with their videos, and those of which there is only a video with sound."""
    films: dict[str, Path] = {}
    for path in sorted(filter(is_video, paths), key=lambda path: path.stem):  # with sound before without
        if match := _FILM.fullmatch(path.stem):
            films.setdefault(f"03{match['take']}", path)
    takes = {utterance.id: utterance for utterance in listing.utterances}
    used = set()
    for name, path in films.items():
        where = path.relative_to(root).as_posix()
        found = takes.get(name)
        if found is None and path.stem.startswith("01"):
            heard = _read_take(name, path, where)
            found = heard if isinstance(heard, Utterance) else None
        if found is not None:
            takes[name] = found.with_(video=Video(path))
            used.add(where)
    left_out = tuple(item for item in listing.left_out if item.where not in used)
    return Listing(tuple(takes[name] for name in sorted(takes)), left_out)


def _looks_right(root: Path) -> bool:
    """Whether actors' folders lie in the root or in the speech folder of the official archive."""
    folders = [path for path in root.iterdir() if path.is_dir()]
    speech = [folder for folder in folders if folder.name.lower() == _SPEECH_FOLDER]
    inside = [path for folder in speech for path in folder.iterdir() if path.is_dir()]
    return any(_ACTOR_FOLDER.fullmatch(folder.name) for folder in folders + inside)


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    if not is_sound(path):
        return LeftOut(where, "other material", "not a sound file")
    return _read_take(path.stem, path, where)


def _read_take(name: str, path: Path, where: str) -> Utterance | LeftOut:
    """The utterance of seven numbers, spoken in a recording."""
    numbers = name.split("-")
    if len(numbers) != 7 or not all(re.fullmatch(r"\d\d", number) for number in numbers):
        return LeftOut(where, "unreadable name", "expected seven numbers such as 03-01-06-01-02-01-12")
    modality, channel, emotion, intensity, statement, repetition, actor = numbers
    if (modality, channel) != ("03", "01") and modality in _MODALITIES and channel in _CHANNELS:
        return LeftOut(where, "other material", f"{_MODALITIES[modality]}, {_CHANNELS[channel]}")
    if emotion not in _EMOTIONS:
        return LeftOut(where, "unknown label", f"emotion {emotion}, expected 01 to 08")
    fault = _fault(numbers, path.parent.name)
    if fault is not None:
        return LeftOut(where, "unreadable name", fault)
    return Utterance(
        id=name,
        audio=path,
        corpus="ravdess",
        speaker=actor,
        emotion=_EMOTIONS[emotion],
        gender="male" if int(actor) % 2 else "female",
        language="en",
        sentence=statement,
        text=_STATEMENTS[statement],
        extra={"intensity": _INTENSITIES[intensity], "statement": statement, "repetition": repetition},
    )


def _fault(numbers: list[str], folder: str) -> str | None:
    """What cannot be right about the numbers of a name, emotion apart."""
    modality, channel, emotion, intensity, statement, repetition, actor = numbers
    for name, value, known in (
        ("modality", modality, _MODALITIES),
        ("channel", channel, _CHANNELS),
        ("intensity", intensity, _INTENSITIES),
        ("statement", statement, _STATEMENTS),
        ("repetition", repetition, _REPETITIONS),
    ):
        if value not in known:
            return f"{name} {value}, expected one of {', '.join(known)}"
    if not 1 <= int(actor) <= _ACTORS:
        return f"actor {actor}, expected 01 to {_ACTORS}"
    if _EMOTIONS[emotion] == "neutral" and _INTENSITIES[intensity] == "strong":
        return "neutral with strong intensity, which the corpus does not have"
    named = _ACTOR_FOLDER.fullmatch(folder)
    if named and named[1] != actor:
        return f"actor {actor} in the folder {folder}"
    return None


CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS (speech)",
    language="en",
    licence="CC BY-NC-SA 4.0",
    citation=(
        "S. R. Livingstone, F. A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS). "
        "PLoS ONE 13(5): e0196391, 2018."
    ),
    homepage="https://zenodo.org/record/1188976",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="folders Actor_01/ to Actor_24/ with recordings such as Actor_12/03-01-06-01-02-01-12.wav, or videos 01-...",
    expected={
        "angry": 192,
        "calm": 192,
        "disgusted": 192,
        "fearful": 192,
        "happy": 192,
        "neutral": 96,
        "sad": 192,
        "surprised": 192,
    },
    notes="Two sentences in all, so what is tested was trained on with the same words.",
)
