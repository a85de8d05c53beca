"""What was exported and read back is what it was; every format also by what its own tools demand."""

import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contracts.package import PACKAGE
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import MissingExtraError, StorageError, UsageError
from serenade.core.records import UNKNOWN_SPEAKER, Attributes, Utterance
from serenade.corpora import CORPORA
from serenade.corpora.exporting import FORMATS, export_corpus
from serenade.corpora.exporting.export import Media
from serenade.signal.audio import examine

CORPUS = CORPORA.resolve("emodb")
SAME = (
    *("id", "speaker", "emotion", "start_s", "end_s", "gender", "language", "group", "dialogue", "sentence", "text"),
    *("split", "fold", "attributes", "votes"),
)


AUDFORMAT = pytest.mark.skipif(
    importlib.util.find_spec("audformat") is None, reason="needs the package audformat (the extra of that name)"
)
EVERY = [pytest.param(form, marks=AUDFORMAT if form == "audformat" else ()) for form in FORMATS]


def whole(root: Path) -> list[Utterance]:
    """Whole recordings with everything that is known of an utterance, and one of which nothing is."""
    rated = Attributes(1.0, 5.0, valence=2.5, arousal=4.0)
    rich = Utterance(
        id="s1-a",
        audio=write_sound(root / "s1" / "a.wav"),
        corpus="emodb",
        speaker="s1",
        emotion="angry",
        gender="female",
        language="de",
        group="session 1",
        dialogue="d1",
        sentence="a01",
        text='Nein, "so" nicht; Größe = 1.',
        split="train",
        fold="2",
        attributes=rated,
        votes={"angry": 2, "tense": 1},
        extra={"age": "031", "part": "improvised", "scene": "café"},
    )
    named = {"gender": "male", "language": "de", "split": "test", "fold": "1"}
    plain = Utterance("s2-b", write_sound(root / "s2" / "b.wav"), "emodb", "s2", "tense", **named)
    bare = Utterance("s3-c", write_sound(root / "s2" / "c.wav"), "emodb", "s3", None, **named)
    return [examined(u) for u in (rich, plain, bare)]


def parts(root: Path) -> list[Utterance]:
    """Two people in one recording, a whole recording beside it, and an utterance up to the end."""
    both, alone = write_sound(root / "both.wav", seconds=0.4), write_sound(root / "alone.wav", seconds=0.2)
    return [
        examined(u)
        for u in (
            Utterance("x1", both, "emodb", "anna", "angry", 0.0, 0.1, group="g1", gender="female"),
            Utterance("x2", both, "emodb", "ben", "sad", 0.125, 0.3, group="g1", gender="male"),
            Utterance("x3", both, "emodb", "anna", "sad", 0.3, 0.4, group="g1", gender="female"),
            Utterance("x4", alone, "emodb", "cem", "happy", group="g2", gender="male"),
        )
    ]


def examined(utterance: Utterance) -> Utterance:
    end_s = examine(utterance.audio).duration_s if utterance.end_s is None else utterance.end_s
    return utterance.with_(duration_s=end_s - utterance.start_s)


def facts(utterance: Utterance) -> dict[str, object]:
    return {name: getattr(utterance, name) for name in SAME}


def there_and_back(utterances: list[Utterance], form: str, out: Path, media: Media = "reference") -> list[Utterance]:
    chosen = FORMATS.resolve(form)
    entry = export_corpus(CORPUS, utterances, chosen, out, facts=examine, media=media)
    listing = CORPORA.resolve(chosen.reader).list_files(entry)
    assert listing.left_out == ()
    return list(listing.utterances)


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("make", [whole, parts], ids=["whole", "parts"])
@pytest.mark.parametrize("media", ["reference", "link"])
def test_what_comes_back_is_what_it_was(
    tmp_path: Path, form: str, make: Callable[[Path], list[Utterance]], media: Media
) -> None:
    utterances = make(tmp_path / "corpus")
    before = fingerprint(tmp_path / "corpus")
    back = there_and_back(utterances, form, tmp_path / "out", media)
    assert [[getattr(u, name) for name in SAME] for u in back] == [
        [getattr(u, name) for name in SAME] for u in utterances
    ]
    assert [u.audio.resolve() for u in back] == [u.audio for u in utterances]
    assert {name: u.extra.get(name) for u in back[:1] for name in utterances[0].extra} == utterances[0].extra
    assert fingerprint(tmp_path / "corpus") == before
    assert all(path.is_symlink() or path.suffix != ".wav" for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("form", EVERY)
def test_a_folder_with_links_may_move(tmp_path: Path, form: str) -> None:
    chosen = FORMATS.resolve(form)
    utterances = whole(tmp_path / "corpus")
    entry = export_corpus(CORPUS, utterances, chosen, tmp_path / "out", facts=examine, media="link")
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / entry.relative_to(tmp_path / "out")
    back = CORPORA.resolve(chosen.reader).list_files(moved).utterances
    assert [u.audio.resolve() for u in back] == [u.audio for u in utterances]


@pytest.mark.parametrize("form", EVERY)
def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path, form: str) -> None:
    utterances = whole(tmp_path / "corpus")
    contents = []
    for name in ("one", "two"):
        there_and_back(utterances, form, tmp_path / name)
        contents.append({path: content for path, (content, _) in fingerprint(tmp_path / name).items()})
    assert contents[0] == contents[1]


def test_kaldi_gets_what_its_check_demands(tmp_path: Path) -> None:
    # utils/validate_data_dir.sh: sorted by bytes, also by speaker; spk2utt is the inverse of utt2spk; no blanks in ids
    audio = [write_sound(tmp_path / f"{name}.wav") for name in "abc"]
    utterances = [
        examined(Utterance("a 1", audio[0], "emodb", "z", "sad", text="one\ntwo")),
        examined(Utterance("b 2", audio[1], "emodb", "a a", "sad")),
        examined(Utterance("c", audio[2], "emodb", UNKNOWN_SPEAKER, None)),
    ]
    back = there_and_back(utterances, "kaldi", tmp_path / "out")
    assert [(u.id, u.speaker, u.text) for u in back] == [
        ("a 1", "z", "one two"),
        ("b 2", "a_a", None),
        ("c", UNKNOWN_SPEAKER, None),
    ]
    pairs = {}
    for path in (tmp_path / "out").iterdir():
        lines = path.read_bytes().splitlines()
        assert lines == sorted(lines), path.name
        pairs[path.name] = [line.decode().split(" ", 1) for line in lines]
    speakers = [speaker for _, speaker in pairs["utt2spk"]]
    assert speakers == sorted(speakers)
    assert {utt: spk for spk, utts in pairs["spk2utt"] for utt in utts.split()} == dict(pairs["utt2spk"])


def test_audformat_is_what_its_package_reads(tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat", reason="needs the package audformat (the extra of that name)")
    utterances = whole(tmp_path / "corpus")
    export_corpus(CORPUS, utterances, FORMATS.resolve("audformat"), tmp_path / "out", facts=examine, media="link")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the package's own use of pandas
        db = audformat.Database.load(str(tmp_path / "out"), load_data=True)
    assert (db.name, db.languages, db.usage, db.is_portable) == ("emodb", ["deu"], "commercial", True)
    assert list(db.files) == ["audio/s1/a.wav", "audio/s2/b.wav", "audio/s2/c.wav"]
    assert db["emotion"]["emotion"].get().tolist()[:2] == ["angry", "tense"]
    assert db["files"]["speaker"].get(map="gender").tolist() == ["female", "male", "male"]
    assert db["emotion"]["valence"].get().tolist()[0] == 2.5
    assert (db.schemes["valence"].minimum, db.schemes["valence"].maximum) == (1, 5)
    assert db.splits["train"].type == "train"
    assert list(db["emotion.train"].files) == ["audio/s1/a.wav"]
    assert all((tmp_path / "out" / file).exists() for file in db.files)


def test_emobox_gets_its_words_and_folds(tmp_path: Path) -> None:
    utterances = [u.with_(emotion=word) for u, word in zip(whole(tmp_path), ("fearful", "tense", "happy"), strict=True)]
    export_corpus(CORPUS, utterances, FORMATS.resolve("emobox"), tmp_path / "out", facts=examine)
    label_map = json.loads((tmp_path / "out" / "label_map.json").read_text(encoding="utf-8"))
    assert label_map == {"fearful": "Fear", "happy": "Happy", "tense": "tense"}
    first = json.loads((tmp_path / "out" / "emodb.jsonl").read_text(encoding="utf-8").splitlines()[0])
    told = {name: first[name] for name in ("key", "dataset", "sample_rate", "num_frame", "length", "emo", "channel")}
    assert told == {
        "key": "s1-a",
        "dataset": "emodb",
        "sample_rate": 16000,
        "num_frame": 1600,
        "length": 0.1,
        "emo": "fearful",
        "channel": 1,
    }
    lists = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*_fold_*.jsonl"))
    assert lists == [f"fold_{fold}/emodb_{part}_fold_{fold}.jsonl" for fold in ("1", "2") for part in ("test", "train")]


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match=r"not empty: .*out\. Give a new folder"):
        export_corpus(CORPUS, whole(tmp_path / "c"), FORMATS.resolve("csv"), tmp_path / "out", facts=examine)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_nothing_half_done_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utterances = whole(tmp_path / "corpus")
    monkeypatch.setitem(sys.modules, "audformat", None)
    with pytest.raises(MissingExtraError, match=r"serenade\[audformat\]"):
        export_corpus(CORPUS, utterances, FORMATS.resolve("audformat"), tmp_path / "out", facts=examine)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="a part of the path is not a folder"):
        export_corpus(CORPUS, utterances, FORMATS.resolve("csv"), tmp_path / "file" / "out", facts=examine)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["corpus", "file"]


def test_every_format_has_a_file_and_every_file_a_format() -> None:
    files = {
        path.stem
        for path in (PACKAGE / "corpora" / "exporting").glob("*.py")
        if "\nFORMAT = " in path.read_text(encoding="utf-8")
    }
    assert files == {FORMATS.target(name).partition(":")[0].rpartition(".")[2] for name in FORMATS}
    assert all(FORMATS.resolve(name).reader in CORPORA for name in FORMATS)
