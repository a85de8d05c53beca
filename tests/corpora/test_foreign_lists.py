"""Whatever is in a list of another toolkit, it is read or explained; nothing ends in a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpora.format_trees import emobox_line, lhotse_recording, lhotse_supervision
from tests.corpora.trees import write_bytes

from serenade.core.errors import CorpusError
from serenade.corpora import CORPORA

WORDS = st.text(max_size=6) | st.sampled_from(["a.wav", "sad"])
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["a.wav", "sad"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
BLOCKS = [
    ("emobox", "e.jsonl", emobox_line("1", "anger")),
    ("lhotse", "x_supervisions.jsonl", lhotse_supervision("u", "r", custom={"emotion": "sad"}, speaker="s", text="t")),
    ("lhotse", "x_recordings.jsonl", lhotse_recording("r", "a.wav", transforms=None)),
    (
        "lhotse",
        "x_cuts.jsonl",
        {
            "id": "c",
            "start": 0,
            "duration": 0.1,
            "channel": 0,
            "type": "MonoCut",
            "supervisions": [lhotse_supervision("u", "r")],
            "recording": lhotse_recording("r", "a.wav"),
        },
    ),
    ("audiofolder", "metadata.jsonl", {"file_name": "a.wav", "label": "sad", "split": "train", "votes": "sad=1"}),
]


def read_or_explain(name: str, root: Path) -> None:
    try:
        listing = CORPORA.resolve(name).list_files(root)
    except CorpusError:
        return
    assert listing.utterances or listing.left_out


@pytest.mark.parametrize(("name", "file", "line"), BLOCKS, ids=[file for _, file, _ in BLOCKS])
@given(data=st.data())
@settings(max_examples=60)
def test_any_value_of_any_key(
    tmp_path_factory: pytest.TempPathFactory, name: str, file: str, line: dict[str, Any], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    write_bytes(folder / "a.wav")
    changed = json.loads(json.dumps(line))
    place = changed
    path = data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=4))
    for step in path[:-1]:
        keys = [key for key, value in place.items() if isinstance(value, dict)]
        if not keys:
            break
        place = place[keys[step % len(keys)]]
    keys = sorted(place)
    place[keys[path[-1] % len(keys)]] = data.draw(ODD)
    if file == "x_supervisions.jsonl":
        (folder / "x_recordings.jsonl").write_text(json.dumps(lhotse_recording("r", "a.wav")) + "\n")
    if file == "x_recordings.jsonl":
        (folder / "x_supervisions.jsonl").write_text(json.dumps(lhotse_supervision("u", "r")) + "\n")
    (folder / file).write_text(json.dumps(line) + "\n" + json.dumps(changed) + "\n", encoding="utf-8")
    read_or_explain(name, folder)


FILES = ("wav.scp", "segments", "utt2spk", "spk2gender", "text", "utt2emo", "utt2valence", "utt2")
LINES = st.text(alphabet=st.sampled_from("ab \t/.|-1:\n\r\0#é"), max_size=40)


@given(
    files=st.dictionaries(st.sampled_from(FILES), LINES),
    encoding=st.sampled_from(["utf-8", "utf-16", "latin-1"]),
)
@settings(max_examples=120)
def test_any_text_in_a_kaldi_folder(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str], encoding: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    write_bytes(folder / "a.wav")
    (folder / "wav.scp").write_text("a a.wav\n")
    for name, text in files.items():
        (folder / name).write_bytes((("a a.wav\n" if name == "wav.scp" else "") + text).encode(encoding, "replace"))
    read_or_explain("kaldi", folder)
