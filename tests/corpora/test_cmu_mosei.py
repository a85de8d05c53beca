"""CMU-MOSEI: several emotions at a time, spans of videos, names with underscores, and what does not fit together."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.corpora.conversation_trees import MOSEI_HEADER, make_cmu_mosei, mosei_lines, place_file
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.cmu_mosei import CORPUS, list_files
from serenade.signal.audio import examine


def by_id(root: Path) -> dict[str, Utterance]:
    return {u.id: u for u in list_files(root).utterances}


def test_a_segment_tells_everything(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    utterance = by_id(root)["-3g5yACwYnA_10"]
    assert utterance.audio == root / "Audio/Full/WAV_16000/-3g5yACwYnA.wav"
    assert (utterance.start_s, utterance.end_s) == (3.5, 9.25)
    assert (utterance.speaker, utterance.group, utterance.dialogue) == (UNKNOWN_SPEAKER, "-3g5yACwYnA", None)
    assert (utterance.text, utterance.sentence) == ("I am happy___and sad", "i am happy___and sad")
    assert utterance.emotion is None
    assert utterance.votes == {"happy": 1, "sad": 2}
    assert utterance.extra == {
        "video": "-3g5yACwYnA",
        "clip": "10",
        "labels": "happy,sad",
        "strength": "happy=3,sad=3",
        "raters": "2",
        "sentiment": "0.0000",
    }


def test_one_several_and_no_emotion(tmp_path: Path) -> None:
    found = by_id(make_cmu_mosei(tmp_path))
    assert {name: (u.emotion, u.extra["labels"]) for name, u in found.items()} == {
        "-3g5yACwYnA_0": ("happy", "happy"),
        "-3g5yACwYnA_10": (None, "happy,sad"),
        "ab_cd_efgh__2": (None, ""),
        "ab_cd_efgh__3": (None, "angry,disgusted,fearful,surprised"),
        "125344_0": ("happy", "happy"),
    }
    assert found["-3g5yACwYnA_0"].votes == {"happy": 2}
    assert (found["-3g5yACwYnA_0"].extra["raters"], found["-3g5yACwYnA_0"].extra["sentiment"]) == ("3", "1.0000")
    assert found["125344_0"].extra["raters"] == "1"  # the other left everything empty


def test_a_negative_start_is_the_beginning(tmp_path: Path) -> None:
    utterance = by_id(make_cmu_mosei(tmp_path))["-3g5yACwYnA_0"]
    assert (utterance.start_s, utterance.end_s, utterance.text) == (0.0, 3.5, "Hello: it is me.")


def test_an_id_is_split_at_its_last_underscore(tmp_path: Path) -> None:
    found = by_id(make_cmu_mosei(tmp_path))
    assert all(name.rpartition("_") == (u.extra["video"], "_", u.extra["clip"]) for name, u in found.items())


def test_what_is_left_out_of_a_complete_copy(tmp_path: Path) -> None:
    (item,) = list_files(make_cmu_mosei(tmp_path)).left_out
    assert (item.where, item.reason) == ("Transcript/Segmented/Combined/125344.txt, line 2", "no label")


def test_segments_are_cut_from_the_recordings(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    for path in (root / "Audio").rglob("*.wav"):
        write_sound(path, seconds=9.25 if path.stem.startswith("-") else 6.0, key=path.stem)
    listing = read_corpus("cmu-mosei", root, examine=examine)
    lengths = {u.id: u.duration_s for u in listing.utterances}
    assert lengths == pytest.approx(
        {"-3g5yACwYnA_0": 3.5, "-3g5yACwYnA_10": 5.75, "ab_cd_efgh__2": 4.0, "125344_0": 1.0}
    )
    reasons = [(item.where, item.reason) for item in listing.left_out if item.reason != "no label"]
    assert reasons == [("Audio/Full/WAV_16000/ab_cd_efgh_.wav", "bad span")]


def test_official_parts_are_read_and_never_run(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    assert {u.split for u in list_files(root).utterances} == {None}
    folds = root / "cmu_mosei_std_folds.py"
    folds.write_text(
        "import os\nstandard_train_fold=['-3g5yACwYnA', 'x']\nstandard_valid_fold=['125344']\nstandard_test_fold=[]\n"
        "os.remove(__file__)\n"
    )
    assert {u.id: u.split for u in list_files(root).utterances} == {
        "-3g5yACwYnA_0": "train",
        "-3g5yACwYnA_10": "train",
        "125344_0": "validation",
        "ab_cd_efgh__2": None,
        "ab_cd_efgh__3": None,
    }
    assert folds.exists()
    folds.write_text("standard_train_fold = [\n")
    with pytest.raises(CorpusError, match=r"official parts .* cannot be read: .*std_folds\.py.*Copy the file anew"):
        list_files(root)


def test_sound_may_lie_one_level_higher(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    (root / "Audio" / "Full" / "WAV_16000").rename(root / "Audio" / "WAV_16000")
    place_file(root / "Audio" / "Full" / "COVAREP" / "125344.mat")
    assert len(list_files(root).utterances) == 5
    assert len(list_files(root).left_out) == 1


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("W0", "Wé").encode("latin-1"),
    ],
    ids=["CRLF", "BOM", "Latin-1"],
)
def test_files_of_all_systems_are_read(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    root = make_cmu_mosei(tmp_path)
    expected = list_files(root)
    for path in [*root.rglob("*.csv"), *root.rglob("*.txt")]:
        path.write_bytes(encode(path.read_text()))
    assert list_files(root) == expected


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    more = [
        ("125344", "1", "much", *"000000"),
        ("", "1", *"0000000"),
        ("gone", "0", *"1000000"),
        ("125344", "7", *"1000000"),
    ]
    (root / "Labels" / "more.csv").write_text("\n".join((MOSEI_HEADER, *mosei_lines(more, first=100))))
    with (root / "Transcript/Segmented/Combined/125344.txt").open("a") as file:
        file.write(
            "125344___0___3.0___4.0___Again.\nother___3___1___2___x\n125344___4___nan___2___x\n125344___7___5___5___x\n"
        )
    (root / "Audio/Full/WAV_16000/ab_cd_efgh_.wav").unlink()
    for stem in ("unheard-of_", "track 1"):
        place_file(root / "Audio/Full/WAV_16000" / f"{stem}.wav")
    found = {(item.where, item.reason): item.detail for item in list_files(root).left_out}
    below = "Transcript/Segmented/Combined"
    assert found["Labels/more.csv, line 2", "unknown label"].startswith(
        "a cell is no number: Input.CLIP=1, Answer.anger=much"
    )
    assert found["Labels/more.csv, line 3", "unknown label"] == "the cell Input.VIDEO_ID is empty"
    assert found[f"{below}/gone.txt", "missing"] == "the transcript of 1 labelled segments"
    assert found["125344_7", "not selected"].startswith("labelled, but its transcript has no such segment")
    assert found[f"{below}/125344.txt", "duplicate"] == "125344_0 stands above already"
    expected = "expected 125344___CLIP___START___END___TEXT"
    assert found[f"{below}/125344.txt, line 4", "unreadable name"] == f"'other___3___1___2___x', {expected}"
    assert found[f"{below}/125344.txt, line 5", "unreadable name"].endswith(expected)
    assert found[f"{below}/125344.txt, line 6", "bad span"] == "5 s to 5 s"
    assert found["Audio/ab_cd_efgh_.wav", "missing"] == "the recording of 2 segments"
    assert found["Audio/Full/WAV_16000/unheard-of_.wav", "no label"] == "neither transcript nor labels"
    assert found["Audio/Full/WAV_16000/track 1.wav", "unreadable name"].startswith(
        "expected the name of a video, such as"
    )
    assert len(found) == 12


@pytest.mark.parametrize(
    ("gone", "complaint"),
    [
        ("Labels", r"labels of CMU-MOSEI are not there: .*Labels/5000_batch_raw\.csv.*Some archives"),
        ("Audio", r"recordings of CMU-MOSEI are not there: .*Audio/Full/WAV_16000/VIDEO\.wav.*Unpack"),
        ("Transcript", r"not the folder of CMU-MOSEI.*Transcript/Segmented/Combined/VIDEO\.txt"),
    ],
)
def test_half_a_copy_is_refused(tmp_path: Path, gone: str, complaint: str) -> None:
    root = make_cmu_mosei(tmp_path)
    shutil.rmtree(root / gone)
    with pytest.raises(CorpusError, match=complaint):
        list_files(root)


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    table = root / "Labels" / "5000_batch_raw.csv"
    table.write_text(table.read_text().replace("Answer.fear", "fear"))
    with pytest.raises(CorpusError, match=r"no column 'Answer\.fear': .*5000_batch_raw\.csv, line 1"):
        list_files(root)


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path / "Raw")
    for wrong in (tmp_path, root / "Audio", root / "Transcript" / "Segmented"):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(wrong)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("cmu-mosei") is CORPUS
    assert CORPUS.commercial_use is False


DIMENSIONS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
# video -> start, end and the means over the raters of `MOSEI_RATINGS`, in the order of DIMENSIONS
MEANS = {
    "-3g5yACwYnA": ((3.5, 9.25, (0, 1.5, 1.5, 0, 0, 0, 0)), (-0.2, 3.5, (1, 1, 0, 0, 0, 0, 0))),
    "ab_cd_efgh_": ((0.0, 4.0, (0, 0, 0, 0, 0, 0, 0)), (4.0, 6.5, (-3, 0, 0, 1, 1, 1, 1))),
    "125344": ((1.0, 2.0, (3, 1, 0, 0, 0, 0, 0)),),
}


def write_csd(
    path: Path,
    means: Mapping[str, Sequence[tuple[float, float, Sequence[float]]]] = MEANS,
    names: Sequence[str] | None = DIMENSIONS,
) -> Path:
    """A computational sequence as CMU-MultimodalSDK writes it."""
    h5py = pytest.importorskip("h5py", reason="needs h5py (the extra data)")
    with h5py.File(path, "w") as file:
        for video, rows in means.items():
            group = file.create_group(f"All Labels/data/{video}")
            group["features"] = np.array([row[2] for row in rows], dtype=np.float32)
            group["intervals"] = np.array([row[:2] for row in rows], dtype=np.float32)
        if names is not None:
            told = file.create_dataset("All Labels/metadata/dimension names", (1,), dtype=h5py.string_dtype())
            told[0] = json.dumps(list(names))
    return path


@pytest.mark.parametrize("place", ["Labels", ".", ".."])
@pytest.mark.parametrize("names", [DIMENSIONS, None], ids=["named", "unnamed"])
def test_the_toolkits_file_says_the_same_as_the_tables(tmp_path: Path, place: str, names: Sequence[str] | None) -> None:
    root = make_cmu_mosei(tmp_path / "Raw")
    from_tables = by_id(root)
    for table in (root / "Labels").glob("*.csv"):
        table.unlink()
    write_csd(root / place / "CMU_MOSEI_Labels.csd", names=names)
    found = by_id(root)
    own = ("raters", "strength", "mean_strength")
    for name, utterance in from_tables.items():
        kept = {key: value for key, value in utterance.extra.items() if key not in own}
        assert found[name].with_(extra={}, votes={}) == utterance.with_(extra={}, votes={})
        assert {key: value for key, value in found[name].extra.items() if key not in own} == kept
        assert found[name].votes == {}
    assert found.keys() == from_tables.keys()
    assert found["-3g5yACwYnA_10"].extra["mean_strength"] == "happy=1.5,sad=1.5"
    assert not {"raters", "strength"} & found["-3g5yACwYnA_10"].extra.keys()
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == ("Transcript/Segmented/Combined/125344.txt, line 2", "no label")


def test_means_that_meet_no_segment_are_told(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    shutil.rmtree(root / "Labels")
    none = (0,) * 7
    more = {"125344": (*MEANS["125344"], (1.0, 2.0, none), (5.0, 6.0, none)), "gone": ((0.0, 1.0, none),)}
    write_csd(root / "CMU_MOSEI_Labels.csd", {**MEANS, **more})
    found = {(item.where, item.reason): item.detail for item in list_files(root).left_out}
    file = "CMU_MOSEI_Labels.csd, 125344 from"
    assert found[f"{file} 1 s to 2 s", "duplicate"] == "125344_0 stands above already"
    assert found[f"{file} 5 s to 6 s", "not selected"].startswith("labelled, but its transcript")
    below = "Transcript/Segmented/Combined"
    assert found[f"{below}/gone.txt", "missing"] == "the transcript of 1 labelled segments"


@pytest.mark.parametrize("fault", ["damaged", "other names", "other width", "other file"])
def test_a_file_of_means_that_cannot_be_read_is_named(tmp_path: Path, fault: str) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py (the extra data)")
    root = make_cmu_mosei(tmp_path)
    shutil.rmtree(root / "Labels")
    path = write_csd(root / "CMU_MOSEI_Labels.csd", names=["a"] * 7 if fault == "other names" else DIMENSIONS)
    if fault == "damaged":
        path.write_bytes(path.read_bytes()[:300])
    elif fault == "other width":
        write_csd(path, {"125344": ((1.0, 2.0, (1, 2)),)})
    elif fault == "other file":
        with h5py.File(path, "w") as file:
            file["x"] = [1, 2]
    with pytest.raises(CorpusError, match=r"labels of CMU-MOSEI cannot be read: .*Labels\.csd\. Found: .*again"):
        list_files(root)


def test_tables_of_raters_go_before_the_file_of_means(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    (root / "Labels" / "CMU_MOSEI_Labels.csd").write_bytes(b"not even read")
    assert by_id(root)["125344_0"].extra["raters"] == "1"
