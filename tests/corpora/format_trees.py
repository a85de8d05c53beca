"""Miniature folders and lists in the formats of other toolkits, and of corpora without emotions."""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.corpora.trees import write_sound

SPEAKERS_TXT = """\
;ID  |SEX| SUBSET           |MINUTES| NAME
;
103  | F | train-clean-100  | 25.10 | Karen Savage
1688 | M | test-other       |  8.03 | Someone | with a bar
"""


def make_librispeech(
    root: Path,
    names: Mapping[str, Iterable[str]],
    *,
    suffix: str = ".flac",
    write: Callable[[Path], Path] = write_sound,
) -> Path:
    """LibriSpeech's layout with these recordings by subset, with transcripts and the list of readers."""
    for subset, stems in names.items():
        for stem in stems:
            reader, chapter, _ = stem.split("-")
            folder = root / subset / reader / chapter
            write(folder / f"{stem}{suffix}")
            with (folder / f"{reader}-{chapter}.trans.txt").open("a", encoding="utf-8") as file:
                file.write(f"{stem} WORDS OF {stem.rpartition('-')[2]}\n")
    (root / "SPEAKERS.TXT").write_text(SPEAKERS_TXT, encoding="utf-8")
    return root


def make_demand(root: Path, folder: str, channels: Iterable[int] = range(1, 17)) -> Path:
    """An environment of DEMAND below a folder such as ``TBUS_16k/TBUS``."""
    for channel in channels:
        write_sound(root / folder / f"ch{channel:02d}.wav")
    return root


def write_lines(path: Path, values: Iterable[Mapping[str, Any]], *, packed: bool = False) -> Path:
    """JSON lines, packed with gzip where asked for."""
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


def lhotse_recording(name: str, source: str, **changes: Any) -> dict[str, Any]:
    """A recording of 0.1 s at 16 kHz as lhotse writes it."""
    return {
        "id": name,
        "sources": [{"type": "file", "channels": [0], "source": source}],
        "sampling_rate": 16000,
        "num_samples": 1600,
        "duration": 0.1,
        "channel_ids": [0],
        **changes,
    }


def lhotse_supervision(name: str, recording: str, **changes: Any) -> dict[str, Any]:
    """A supervision over a whole recording of 0.1 s as lhotse writes it."""
    return {"id": name, "recording_id": recording, "start": 0.0, "duration": 0.1, "channel": 0, **changes}


def make_lhotse(root: Path, *, packed: bool = True) -> Path:
    """Two recordings with three supervisions, two of them in the second recording."""
    sounds = [write_sound(root / "audio" / f"{name}.wav") for name in ("r1", "r2")]
    ending = ".jsonl.gz" if packed else ".jsonl"
    recordings = [lhotse_recording(path.stem, f"audio/{path.name}") for path in sounds]
    supervisions = [
        lhotse_supervision(
            "u1", "r1", text="Stop that!", language="en", speaker="anna", gender="F", custom={"emotion": "anger"}
        ),
        lhotse_supervision("u2", "r2", duration=0.04, speaker="ben", custom={"emotion": "happy", "scene": "street"}),
        lhotse_supervision("u3", "r2", start=0.05, duration=0.05, speaker="cem", custom={"emotion": "sad"}),
    ]
    write_lines(root / f"mini_recordings_train{ending}", recordings, packed=packed)
    write_lines(root / f"mini_supervisions_train{ending}", supervisions, packed=packed)
    return root


def make_kaldi(root: Path, **files: str) -> Path:
    """A data folder of two recordings; each named file is written over what it has."""
    for name in ("a", "b"):
        write_sound(root / "audio" / f"{name}.wav")
    texts = {
        "wav_scp": "anna-a audio/a.wav\nben-b audio/b.wav\n",
        "utt2spk": "anna-a anna\nben-b ben\n",
        "spk2gender": "anna f\nben m\n",
        "text": "anna-a Stop that!\nben-b There you are.\n",
        "utt2emo": "anna-a ang\nben-b hap\n",
        **files,
    }
    for name, text in texts.items():
        (root / name.replace("wav_scp", "wav.scp")).write_text(text, encoding="utf-8")
    return root


def make_emobox(root: Path, *, folds: int = 2) -> Path:
    """EmoBox's folder of lists below ``data/mini``, and recordings below ``downloads/mini``."""
    words = {"1": "anger", "2": "neutral", "3": "boredem", "4": "anger"}
    lines = [emobox_line(name, word) for name, word in words.items()]
    for name in words:
        write_sound(root / "downloads" / "mini" / "wav" / f"{name}.wav")
    folder = root / "data" / "mini"
    write_lines(folder / "mini.jsonl", lines)
    label_map = {"anger": "Angry", "Neutral": "Neutral", "boredem": "Boredom"}
    (folder / "label_map.json").write_text(json.dumps(label_map), encoding="utf-8")
    for fold in range(1, folds + 1):
        test = lines[fold - 1 :: 2]
        train = [line for line in lines if line not in test]
        for part, chosen in (("train", train), ("test", test)):
            write_lines(folder / f"fold_{fold}" / f"mini_{part}_fold_{fold}.jsonl", chosen)
    return folder


def emobox_line(name: str, word: str) -> dict[str, Any]:
    """A line as EmoBox writes it."""
    return {
        "key": f"mini-{name}",
        "dataset": "mini",
        "wav": f"downloads/mini/wav/{name}.wav",
        "type": "raw",
        "sample_rate": 48000,
        "num_frame": 4800.0,
        "task": "category",
        "length": 0.1,
        "emo": word,
        "channel": 1,
    }


def make_audiofolder(root: Path, rows: Sequence[str], *, part: str = "") -> Path:
    """Hugging Face's layout: ``metadata.csv`` in the folder or in a part of it, the recordings beside it."""
    folder = root / part
    for row in rows[1:]:
        write_sound(folder / row.split(",")[0])
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root
