"""A corpus of videos cut into utterances: the sound of each, its faces and its words in a folder of their own.

Decoding videos and finding faces takes far longer than anything a network does with them, and is done once here. The
folder is a corpus of its own (`prepared`), smaller than the videos by a factor of hundreds::

    FOLDER/
      prepare.toml        what was cut, and how
      utterances.jsonl    one `Utterance` a line, with paths within the folder; written last
      left_out.jsonl      one `LeftOut` a line: everything that is not in it, and why
      report.json         counts, and what should be known of utterances that are in it
      outcomes.jsonl      what became of each utterance; where it stands it is not done again
      sound/ID.flac       its span of its channel, 16 kHz, 16 bit
      faces/ID.safetensors  its faces, as `signal.face_files` writes them

Mel pieces and tokens are not stored: from cut sound and words they are made in a thousandth of the time, and so the
same folder serves any front end and any text encoder.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import soundfile
from pydantic import Field
from torch import Tensor

from serenade.core.errors import AudioError, SerenadeError, UsageError, VideoError
from serenade.core.executor import run_all
from serenade.core.files import storage_errors, write_bytes, write_json, write_json_lines, write_text
from serenade.core.records import NO_RECORDING, LeftOut, LeftOutReason, Listing, Utterance
from serenade.core.settings import Settings, dump_toml, load_toml
from serenade.models.faces.detectors import DetectorName, open_detector
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.face_files import write_faces
from serenade.signal.faces import FaceCrops, FaceDetector, FaceSettings, no_faces
from serenade.signal.multimodal import (
    Modality,
    MultimodalSettings,
    compare_lengths,
    find_faces,
    judge_faces,
    read_sound,
)
from serenade.signal.video import FrameSettings

__all__ = ["Preparation", "PreparationSettings", "prepare", "published_frames"]

_SETTINGS, _UTTERANCES, _LEFT_OUT = "prepare.toml", "utterances.jsonl", "left_out.jsonl"
_REPORT, _OUTCOMES = "report.json", "outcomes.jsonl"
_LONGEST_NAME = 150  # of a file, in characters; what is longer ends in a hash


class PreparationSettings(Settings):
    """How utterances are cut; the defaults are the published ones but for the detector's fallback."""

    detector: DetectorName = Field(
        "auto", description="mtcnn, cascade (quicker, weaker), or auto: MTCNN where its weights are installed"
    )
    frames: FrameSettings = FrameSettings()
    faces: FaceSettings = FaceSettings()
    require: tuple[Modality, ...] = Field(
        (), description="leave out utterances without these: audio, face, text; unset: without any of the three"
    )


def published_frames(corpus: str) -> FrameSettings:
    """How the pictures of a corpus were cut before faces were sought in them: IEMOCAP, CMU-MOSEI; else whole ones."""
    if corpus == "iemocap":
        return FrameSettings(centre_crop=224)
    if corpus == "cmu-mosei":
        return FrameSettings(halve_above=360, centre_crop=360)
    return FrameSettings()


@dataclass(frozen=True, slots=True)
class Preparation:
    """What came of preparing a corpus.

    Args:
        listing: the utterances of the folder, with paths within it, and everything left out.
        modalities: how many utterances have text, face and audio.
        pictures: pictures looked at.
        faces: pictures in which a face was found.
        notes: what should be known of utterances that are there, by id.
        done_before: utterances that an earlier call had finished.
    """

    listing: Listing
    modalities: dict[Modality, int]
    pictures: int
    faces: int
    notes: dict[str, tuple[str, ...]]
    done_before: int


@dataclass(frozen=True, slots=True)
class _Task:
    utterance: Utterance
    folder: Path
    settings: PreparationSettings
    device: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one utterance: where it comes from, files within the folder, and why something is missing."""

    id: str
    source: str
    sound: str | None
    faces: str | None
    duration_s: float | None
    pictures: int
    found: int
    missing: dict[str, tuple[str, str]]  # modality to reason and detail
    notes: tuple[str, ...]


def prepare(
    listing: Listing,
    folder: Path,
    settings: PreparationSettings | None = None,
    *,
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Preparation:
    """Cut the utterances of a corpus into a folder; what an earlier call has done there stays.

    Args:
        listing: utterances by name; nothing of them was examined.
        folder: new, or of an interrupted preparation with the same settings.
        settings: the published ones if not given.
        workers: processes.
        device: where faces are found: auto, cpu, cuda or cuda:N; all processes share it.
        progress: called with the number of utterances done so far and in all.

    Raises:
        UsageError: the folder holds something else, or was prepared with other settings; there is no such device.
        StorageError: the disk is full or refuses.
        MissingExtraError: PyAV or OpenCV is needed and not installed.
        MissingWeightsError: a face detector is needed and none is installed.
    """
    settings = settings if settings is not None else PreparationSettings()
    if any(u.video is not None for u in listing.utterances):
        _detector(settings.detector, device)  # what is not installed is told before hours of work
    outcomes = _begin(folder, settings)
    wanted = {u.id: _source(u) for u in listing.utterances}
    outcomes = {name: outcome for name, outcome in outcomes.items() if outcome.source == wanted.get(name)}
    done_before, total = len(outcomes), len(listing.utterances)
    tasks = (_Task(u, folder, settings, device) for u in listing.utterances if u.id not in outcomes)
    for outcome in _work(folder, tasks, workers):
        outcomes[outcome.id] = outcome
        if progress is not None:
            progress(len(outcomes), total)
    return _finish(listing, folder, settings, outcomes, done_before)


def _source(utterance: Utterance) -> str:
    """A hash that changes with the files of an utterance, its spans and its words."""
    video = utterance.video
    paths = [utterance.audio, *([] if video is None else [video.path])]
    spans = (utterance.start_s, utterance.end_s, utterance.channel, video and (video.start_s, video.end_s, video.side))
    return sha256(repr((list(map(_stamp, paths)), spans, utterance.text)).encode()).hexdigest()[:32]


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file; None where it is not there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _begin(folder: Path, settings: PreparationSettings) -> dict[str, _Outcome]:
    """Make the folder, or see what is done in it."""
    text = dump_toml(settings.model_dump(mode="json"))
    if (folder / _SETTINGS).is_file():
        if load_toml(folder / _SETTINGS) != json.loads(json.dumps(settings.model_dump(mode="json", exclude_none=True))):
            hint = "Go on with the settings that stand there, or choose another folder"
            raise UsageError("this folder was prepared with other settings", where=folder / _SETTINGS, hint=hint)
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError("the folder is not empty, and no preparation", where=folder, hint="Choose a new folder")
    else:
        write_text(folder / _SETTINGS, text)
    return {outcome.id: outcome for outcome in _read_outcomes(folder / _OUTCOMES)}


def _read_outcomes(path: Path) -> Iterator[_Outcome]:
    """What was done; a line that an interruption has torn is not there."""
    for line in path.read_text(encoding="utf-8").split("\n") if path.is_file() else ():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        missing = {name: (reason, detail) for name, (reason, detail) in values["missing"].items()}
        yield _Outcome(**{**values, "missing": missing, "notes": tuple(values["notes"])})


def _work(folder: Path, tasks: Iterable[_Task], workers: int) -> Iterator[_Outcome]:
    """Outcomes, each noted in the folder as soon as it is there."""
    path = folder / _OUTCOMES
    with storage_errors(path), path.open("a", encoding="utf-8") as file:
        if path.stat().st_size:
            file.write("\n")  # a torn line ends here
        for task, outcome in run_all(_cut, tasks, workers=workers):
            if isinstance(outcome, SerenadeError):
                outcome.where = outcome.where if outcome.where is not None else task.utterance.id
                raise outcome
            file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
            file.flush()
            yield outcome


@cache
def _detector(name: DetectorName, device: str) -> FaceDetector:
    return open_detector(name, device)


def _cut(task: _Task) -> _Outcome:
    """Cut one utterance; what it lacks is named and stops nothing."""
    utterance, settings = task.utterance, task.settings
    missing: dict[str, tuple[str, str]] = {}
    name = _file_name(utterance.id)
    sound = faces = duration_s = None
    try:
        waveform = read_sound(utterance)
        duration_s = len(waveform) / SAMPLE_RATE
        sound = f"sound/{name}.flac"
        write_bytes(task.folder / sound, _flac(waveform))
    except AudioError as error:
        missing["audio"] = (error.reason, _told(error))
    crops = no_faces(settings.faces)
    try:
        crops = _faces(utterance, settings, task.device)
    except VideoError as error:
        missing["face"] = (error.reason, _told(error))
    notes = compare_lengths(crops, duration_s, settings.frames.interval_ms / 1000)
    if len(crops.pixels):
        faces = f"faces/{name}.safetensors"
        write_faces(task.folder / faces, crops)
        notes += [] if bool(crops.found.all()) else [judge_faces(crops)]
    elif "face" not in missing:
        missing["face"] = ("empty", judge_faces(crops))
    if utterance.text is None or not utterance.text.strip():
        missing["text"] = ("missing", "no words are written down")
    found = int(crops.found.sum())
    source = _source(utterance)
    return _Outcome(utterance.id, source, sound, faces, duration_s, crops.pictures, found, missing, tuple(notes))


def _faces(utterance: Utterance, settings: PreparationSettings, device: str) -> FaceCrops:
    detector = None if utterance.video is None else _detector(settings.detector, device)
    return find_faces(utterance, MultimodalSettings(frames=settings.frames, faces=settings.faces), detector=detector)


def _told(error: SerenadeError) -> str:
    return error.what if error.found is None else f"{error.what}: {error.found}"


def _flac(waveform: Tensor) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform.clamp(-1, 1).numpy(), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _file_name(name: str) -> str:
    """A name that is safe on any file system and differs for different ids."""
    safe = quote(name, safe=" +,=@")
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[:_LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:16]}"


def _finish(
    listing: Listing, folder: Path, settings: PreparationSettings, outcomes: dict[str, _Outcome], done_before: int
) -> Preparation:
    """Write what there is and what there is not."""
    kept: list[Utterance] = []
    left_out = list(listing.left_out)
    for utterance in listing.utterances:
        outcome = outcomes[utterance.id]
        why = _lacking(outcome, settings.require)
        if why is None:
            kept.append(_prepared(utterance, outcome))
        else:
            left_out.append(LeftOut(utterance.id, *why))
    counts = _modalities(kept)
    used = [outcomes[u.id] for u in kept]
    notes = {outcome.id: outcome.notes for outcome in used if outcome.notes}
    pictures, found = sum(o.pictures for o in used), sum(o.found for o in used)
    write_json_lines(folder / _LEFT_OUT, map(asdict, left_out))
    write_json(folder / _REPORT, _report(kept, left_out, counts, pictures, found, notes))
    write_json_lines(folder / _UTTERANCES, (u.to_json() for u in kept))
    return Preparation(Listing(tuple(kept), tuple(left_out)), counts, pictures, found, notes, done_before)


def _lacking(outcome: _Outcome, require: Sequence[Modality]) -> tuple[LeftOutReason, str] | None:
    """Why an utterance is left out; None where it is not."""
    lacking = [name for name in require if name in outcome.missing]
    if not lacking and len(outcome.missing) < 3:
        return None
    names = lacking if lacking else list(outcome.missing)
    detail = "; ".join(f"{name}: {outcome.missing[name][1]}" for name in names)
    reasons = [outcome.missing[name][0] for name in names]
    reason = next((reason for reason in reasons if reason != "missing"), "missing")
    return reason, detail  # type: ignore[return-value] # the reasons of both kinds of error are among these


def _prepared(utterance: Utterance, outcome: _Outcome) -> Utterance:
    """The utterance as a file of its own, with paths within the folder."""
    return replace(
        utterance,
        audio=NO_RECORDING if outcome.sound is None else Path(outcome.sound),
        start_s=0.0,
        end_s=None,
        channel=None,
        video=None,
        faces=None if outcome.faces is None else Path(outcome.faces),
        duration_s=outcome.duration_s,
        content=None,
    )


def _modalities(utterances: Sequence[Utterance]) -> dict[Modality, int]:
    return {
        "text": sum(bool(u.text and u.text.strip()) for u in utterances),
        "face": sum(u.faces is not None for u in utterances),
        "audio": sum(u.has_audio for u in utterances),
    }


def _report(
    kept: Sequence[Utterance],
    left_out: Sequence[LeftOut],
    counts: dict[Modality, int],
    pictures: int,
    found: int,
    notes: dict[str, tuple[str, ...]],
) -> dict[str, Any]:
    return {
        "utterances": len(kept),
        "by_modality": counts,
        "by_class": dict(Counter(u.emotion if u.emotion is not None else "-" for u in kept)),
        "pictures": pictures,
        "pictures_with_a_face": found,
        "left_out": dict(Counter(item.reason for item in left_out)),
        "notes": {name: list(told) for name, told in notes.items()},
    }
