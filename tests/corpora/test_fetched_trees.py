"""What is fetched lies as the loaders want it: every corpus, packed as its home packs it, fetched and listed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.corpora.conversation_trees import make_meld
from tests.corpora.loader_trees import TREES
from tests.corpora.server import Home, serve
from tests.corpora.test_fetching import FAST, pointer, tar_of, visible, zip_of

from serenade.corpora import CORPORA
from serenade.corpora.fetching import fetch
from serenade.corpora.sources import SOURCES, Archive, Source

APART = {"librispeech", "demand", "meld"}  # of parts, or archives in an archive: looked at below
PLAIN = sorted({name for name, source in SOURCES.items() if source.archives} - APART)
EXTRA = "Model Output/picture.jpg"  # what repositories hold beside the corpus


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(Home()) as running:
        yield running


def unchecked(source: Source) -> Source:
    """The source without the checksums, which are those of the real archives."""
    return replace(source, archives=tuple(replace(one, size=None, checksum=None) for one in source.archives))


def share(source: Source, archive: Archive, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files that one archive of a corpus holds: all, or those that its name says."""
    if len(source.archives) == 1:
        return files
    stem = archive.name.partition(".")[0]
    return {name: content for name, content in files.items() if name.partition("/")[0].partition(".")[0] == stem}


def pack(home: Home, source: Source, files: dict[str, bytes]) -> None:
    """Give out the files as the home does, below as many folders as `strip` takes off."""
    for archive in source.archives:
        held = share(source, archive, files)
        assert held, f"nothing is in {archive.name}"
        if archive.name.endswith(".json"):
            home.files[f"/{archive.name}"] = held[archive.name]
            continue
        if archive.pointers is not None:
            lfs = {name: content for name, content in held.items() if name.endswith(".wav")}
            home.files |= {f"/{name}": content for name, content in lfs.items()}
            held = held | {name: pointer(content) for name, content in lfs.items()}
        above = "".join(f"{folder}/" for folder in ("repository-0a1b2c", "Dataset", "SpeechCorpus")[: archive.strip])
        extra = {EXTRA: b"x"} if archive.keep else {}
        home.files[f"/{archive.name}"] = zip_of({above + name: content for name, content in {**held, **extra}.items()})


def listed(name: str, root: Path) -> list[str]:
    listing = CORPORA.resolve(name).list_files(root)
    assert listing.left_out == ()
    return [utterance.id for utterance in listing.utterances]


@pytest.mark.parametrize("name", PLAIN)
def test_a_fetched_corpus_is_read_like_the_original(name: str, home: Home, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    TREES[name].make(original)
    source = unchecked(SOURCES[name])
    pack(home, source, visible(original))
    fetch(source, tmp_path / "fetched", mirror=home.url, network=FAST)
    assert visible(tmp_path / "fetched") == visible(original)
    assert listed(name, tmp_path / "fetched") == listed(name, original)


def test_fetched_meld_is_read_like_the_original(home: Home, tmp_path: Path) -> None:
    original = make_meld(tmp_path / "original")
    files = visible(original)
    videos = {"train": "train_splits/", "dev": "dev_splits_complete/", "test": "output_repeated_splits_test/"}
    inner = {
        f"MELD.Raw/{part}.tar.gz": tar_of({name: files[name] for name in files if name.startswith(folder)})
        for part, folder in videos.items()
    }
    tables = {f"MELD.Raw/{name}": content for name, content in files.items() if name.endswith(".csv")}
    home.files["/MELD.Raw.tar.gz"] = tar_of({**tables, **inner})
    fetch(SOURCES["meld"], tmp_path / "fetched", mirror=home.url, network=FAST)
    assert visible(tmp_path / "fetched") == files
    read = CORPORA.resolve("meld").list_files
    assert [u.id for u in read(tmp_path / "fetched").utterances] == [u.id for u in read(original).utterances]


def test_fetched_librispeech_is_read(home: Home, tmp_path: Path) -> None:
    recordings = {"dev-clean": "84/121123/84-121123-0000", "test-other": "367/130732/367-130732-0001"}
    for part, name in recordings.items():
        words = f"LibriSpeech/{part}/{name.rpartition('-')[0]}.trans.txt"
        said = f"{name.rpartition('/')[2]} GO ON\n".encode()
        home.files[f"/{part}.tar.gz"] = tar_of({f"LibriSpeech/{part}/{name}.flac": b"x", words: said})
    source = unchecked(SOURCES["librispeech"])
    fetch(source, tmp_path / "fetched", parts=["dev-clean"], mirror=home.url, network=FAST)
    fetch(source, tmp_path / "fetched", parts=["test-other"], mirror=home.url, network=FAST)
    listing = CORPORA.resolve("librispeech").list_files(tmp_path / "fetched")
    assert {u.id.rpartition("/")[2] for u in listing.utterances} == {
        name.rpartition("/")[2] for name in recordings.values()
    }


def test_fetched_noise_is_read(home: Home, tmp_path: Path) -> None:
    for part in ("DKITCHEN", "TCAR"):
        home.files[f"/{part}_16k.zip"] = zip_of({f"{part}/ch{number:02d}.wav": b"x" for number in range(1, 17)})
    source = unchecked(SOURCES["demand"])
    fetch(source, tmp_path / "fetched", parts=["DKITCHEN", "TCAR"], mirror=home.url, network=FAST)
    listing = CORPORA.resolve(str(source.reader)).list_files(tmp_path / "fetched")
    assert {u.speaker for u in listing.utterances} == {"DKITCHEN", "TCAR"}


def test_a_note_of_fetching_says_what_can_be_compared(home: Home, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    TREES["nemo"].make(original)
    source = SOURCES["nemo"]
    pack(home, source, visible(original))
    fetch(source, tmp_path / "fetched", mirror=home.url, network=FAST)
    noted = json.loads((tmp_path / "fetched" / "serenade-fetch.json").read_text())
    assert noted["licence"] == CORPORA.resolve("nemo").licence
    assert noted["archives"]["nEMO.zip"]["verified_by"] is None
    assert noted["archives"]["nEMO.zip"]["url"] == f"{home.url}/nEMO.zip"
