"""lhotse manifests: supervisions and cuts become utterances, and what no file holds is left out and said."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.corpora.format_trees import lhotse_recording, lhotse_supervision, make_lhotse, write_lines
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.lhotse import CORPUS, list_files
from serenade.signal.audio import examine


@pytest.mark.parametrize("packed", [True, False])
def test_supervisions_are_utterances(tmp_path: Path, packed: bool) -> None:
    root = make_lhotse(tmp_path, packed=packed)
    listing = read_corpus("lhotse", root, examine=examine)
    assert listing.left_out == ()
    first, second, third = listing.utterances
    assert (first.id, first.audio) == ("u1", tmp_path / "audio" / "r1.wav")
    assert (first.speaker, first.gender, first.emotion, first.text) == ("anna", "female", "angry", "Stop that!")
    assert (first.start_s, first.end_s, first.group, first.split) == (0.0, None, None, "train")
    assert (second.start_s, second.end_s, second.group) == (0.0, 0.04, "audio/r2.wav")
    assert second.extra == {"scene": "street"}
    assert (third.start_s, third.end_s, third.emotion) == (0.05, 0.1, "sad")


def test_a_file_of_the_folder_may_be_given(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path)
    for name in ("recordings", "supervisions"):
        assert list_files(root / f"mini_{name}_train.jsonl.gz") == list_files(root)


def test_attributes_and_votes_stand_in_custom(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path, packed=False)
    custom = {"emotion": None, "valence": 2.5, "scale": "1..5", "votes": "ang=2;neu=2"}
    write_lines(root / "mini_supervisions_train.jsonl", [lhotse_supervision("u1", "r1", custom=custom)])
    (utterance,) = list_files(root).utterances
    assert (utterance.emotion, utterance.votes) == (None, {"angry": 2.0, "neutral": 2.0})
    assert utterance.attributes is not None
    assert utterance.attributes.valence == 2.5


def cut(name: str, start_s: float, supervisions: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    recording = lhotse_recording("r1", "audio/r1.wav")
    values = {"id": name, "start": start_s, "duration": 0.05, "channel": 0, "supervisions": supervisions}
    return {**values, "recording": recording, "type": "MonoCut", **changes}


def test_supervisions_of_cuts_are_seen_from_the_cut(tmp_path: Path) -> None:
    write_sound(tmp_path / "audio" / "r1.wav")
    inner = lhotse_supervision("u1", "r1", start=0.01, duration=0.02, speaker="anna", custom={"emotion": "fear"})
    outer = {**inner, "id": "u2", "start": -0.01, "duration": 0.09}  # longer than the cut on both sides
    cuts = [cut("c1", 0.03, [inner, outer]), cut("c2", 0.05, []), cut("c3", 0.0, [], type="MixedCut", tracks=[])]
    write_lines(tmp_path / "mini_cuts_dev.jsonl.gz", cuts, packed=True)
    listing = list_files(tmp_path)
    assert [(u.id, u.start_s, u.end_s, u.speaker, u.split) for u in listing.utterances] == [
        ("c2", 0.05, 0.1, UNKNOWN_SPEAKER, "validation"),
        ("u1", 0.04, 0.06, "anna", "validation"),
        ("u2", 0.03, 0.08, "anna", "validation"),
    ]
    assert [(item.where, item.reason) for item in listing.left_out] == [
        ("c3 (mini_cuts_dev.jsonl.gz, line 3)", "other material")
    ]


def test_recordings_alone_are_unlabelled_speech(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path)
    (root / "mini_supervisions_train.jsonl.gz").unlink()
    assert [(u.id, u.emotion, u.end_s) for u in list_files(root).utterances] == [("r1", None, None), ("r2", None, None)]


@pytest.mark.parametrize(
    ("recording", "supervision", "detail"),
    [
        ({"sources": [{"type": "command", "channels": [0], "source": "sox x"}]}, {}, "is a command, expected a file"),
        ({"sources": [{"type": "url", "channels": [0], "source": "http://x"}]}, {}, "is a url, expected a file"),
        ({"sources": []}, {}, "has 0 sources"),
        ({"transforms": [{"name": "Speed", "kwargs": {"factor": 1.1}}]}, {}, "is changed on the fly"),
        (
            {"sources": [{"type": "file", "channels": [0, 1], "source": "audio/r1.wav"}]},
            {"channel": 1},
            "channel 1 of 2; write the channels to files of their own",
        ),
    ],
)
def test_what_no_file_holds_is_left_out(
    tmp_path: Path, recording: dict[str, Any], supervision: dict[str, Any], detail: str
) -> None:
    root = make_lhotse(tmp_path, packed=False)
    write_lines(
        root / "mini_recordings_train.jsonl",
        [lhotse_recording("r1", "audio/r1.wav", **recording), lhotse_recording("r2", "audio/r2.wav")],
    )
    supervisions = [lhotse_supervision("u1", "r1", **supervision), lhotse_supervision("u2", "r2")]
    write_lines(root / "mini_supervisions_train.jsonl", supervisions)
    listing = list_files(root)
    assert [u.id for u in listing.utterances] == ["u2"]
    (item,) = listing.left_out
    assert (item.where, item.reason) == ("u1 (mini_supervisions_train.jsonl, line 1)", "other material")
    assert detail in item.detail


def test_rows_that_point_nowhere_or_twice_are_left_out(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path, packed=False)
    supervisions = [lhotse_supervision("u1", "r1"), lhotse_supervision("u1", "r2"), lhotse_supervision("u2", "r9")]
    write_lines(root / "mini_supervisions_train.jsonl", supervisions)
    found = {item.where.partition(" ")[0]: (item.reason, item.detail) for item in list_files(root).left_out}
    assert found["u1"][0] == "duplicate"
    assert found["u2"] == ("missing", "mini_recordings_train.jsonl has no recording r9")


def test_a_missing_number_is_named_with_its_line(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path, packed=False)
    write_lines(root / "mini_supervisions_train.jsonl", [lhotse_supervision("u1", "r1", start="soon")])
    with pytest.raises(CorpusError, match=r"no 'start' in seconds: .*_train\.jsonl, line 1\. Found: 'soon'"):
        list_files(root)


def test_a_value_of_another_kind_is_named_with_its_line(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path, packed=False)
    write_lines(root / "mini_supervisions_train.jsonl", [lhotse_supervision("u1", "r1", custom=["sad"])])
    with pytest.raises(
        CorpusError, match=r"'custom' is not what lhotse writes: .*line 1\. Found: \['sad'\]\. Expected: an o"
    ):
        list_files(root)


def test_a_cut_off_archive_is_named(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path)
    manifest = root / "mini_supervisions_train.jsonl.gz"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(CorpusError, match=r"damaged or cut off: .*supervisions_train\.jsonl\.gz.*download it again"):
        list_files(root)


def test_supervisions_without_recordings_are_explained(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path)
    (root / "mini_recordings_train.jsonl.gz").rename(root / "mini_recordings_dev.jsonl.gz")
    write_lines(root / "mini_recordings_test.jsonl", [])
    with pytest.raises(CorpusError, match=r"no recordings beside them.*Expected: mini_recordings_train\.jsonl\.gz"):
        list_files(root)


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path / "manifests")
    with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
        list_files(root / "audio")


def test_reading_leaves_the_manifests_alone(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path / "manifests")
    before = fingerprint(root)
    read_corpus("lhotse", root, examine=examine)
    assert fingerprint(root) == before


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("lhotse") is CORPUS


def as_one_list(root: Path, ending: str) -> Path:
    """The manifests of `make_lhotse` as one list a file, in JSON or YAML."""
    for path in sorted(make_lhotse(root, packed=False).glob("*.jsonl")):
        values = [json.loads(line) for line in path.read_text().splitlines()]
        if ending.startswith(".y"):
            yaml = pytest.importorskip("yaml", reason="needs PyYAML (the extra data)")
            text = yaml.safe_dump(values, sort_keys=False)
        else:
            text = json.dumps(values, indent=2)
        raw = text.encode()
        path.with_name(f"{path.stem}{ending}").write_bytes(gzip.compress(raw) if ending.endswith(".gz") else raw)
        path.unlink()
    return root


@pytest.mark.parametrize("ending", [".json", ".json.gz", ".yaml", ".yml.gz"])
def test_whole_lists_say_the_same_as_lines(tmp_path: Path, ending: str) -> None:
    expected = list_files(make_lhotse(tmp_path / "lines"))
    for path in (tmp_path / "lines").glob("*.gz"):
        path.unlink()
    found = list_files(as_one_list(tmp_path / "lists", ending))
    plain = [u.with_(audio=Path()) for u in expected.utterances]
    assert [u.with_(audio=Path()) for u in found.utterances] == plain
    assert len(plain) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("json", "[{", r"the list is not JSON: .*supervisions_train\.json\. Found: .* line 1, column 3"),
        ("json", '{"id": "u1"}', r"holds no list: .*supervisions_train\.json\. Found: dict"),
        ("json", '[{"id": "u1", "recording_id": "r1", "start": 0, "duration": 0.1}, 3]', r"no object: .*entry 2"),
        ("json", '[{"id": "u1", "recording_id": "r1", "start": "soon"}]', r"no 'start' in seconds: .*entry 1"),
        ("yaml", "- id: [u1", r"the list is not YAML: .*supervisions_train\.yaml"),
    ],
)
def test_broken_lists_are_named_with_their_entry(tmp_path: Path, name: str, text: str, message: str) -> None:
    root = as_one_list(tmp_path, f".{name}")
    (root / f"mini_supervisions_train.{name}").write_text(text)
    with pytest.raises(CorpusError, match=message):
        list_files(root)


def test_two_recordings_of_one_id_are_refused(tmp_path: Path) -> None:
    root = make_lhotse(tmp_path, packed=False)
    recordings = [lhotse_recording("r1", "audio/r1.wav"), lhotse_recording("r1", "audio/r2.wav")]
    write_lines(root / "mini_recordings_train.jsonl", recordings)
    with pytest.raises(CorpusError, match=r"the recording r1 stands twice.*recordings_train\.jsonl, line 2"):
        list_files(root)


def test_recordings_that_no_supervision_names_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_lhotse(tmp_path, packed=False)
    write_lines(root / "mini_supervisions_train.jsonl", [lhotse_supervision("u1", "r1")])
    assert len(list_files(root).utterances) == 1
    assert "says nothing of 1 of 2 recordings, such as r2" in caplog.text
