"""A corpus that was never in memory says the same as the plain list: utterances, what is left out, warnings, errors."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.corpora.trees import make_emodb, write_sound

from serenade.core.errors import SerenadeError
from serenade.core.label_maps import parse_label_map
from serenade.core.labels import LabelSet
from serenade.core.records import Listing
from serenade.corpora import Selection, read_corpus, store_corpus
from serenade.signal.audio import examine

HEADER = "file,start,end,speaker,gender,emotion,split,session,dialogue,text,utterance,scene"
ROWS = [
    "z.wav,,,anna,f,happy,train,s1,d1,Good morning.,,street",
    "./a.wav,,,anna,f,sad,train,s1,d1,good morning,,room",
    "a.wav,,,ben,m,happy,test,s2,d2,Yes,,room",  # the id of the row before, labelled otherwise
    "long.wav,0,0.5,carl,m,happy,test,,,,,room",  # several in one recording: it is their group
    "long.wav,0.5,1,carl,m,sad,train,,,,,street",
    "long.wav,0.5,9,carl,m,sad,,,,,,",  # beyond the end
    "long.wav,2,1,carl,m,sad,,,,,,",  # no span
    ",,,carl,m,sad,,,,,,",  # no recording
    "copy.wav,,,dora,f,sad,test,s3,,,,",  # the sound of z.wav, which comes later by id
    "gone.wav,,,dora,f,tense,,,,,,room",
    "other.wav,,,dora,f,hapy,,,,,,room",  # a slip; and the recording is there as FLAC
    "other.wav,,,dora,f,,,,,,,room",
    "silent.wav,,,dora,f,happy,,,,,,",
    "empty.wav,,,dora,f,happy,,,,,,",
    "words.wav,,,dora,f,happy,,,,,,",
    "nan.wav,,,dora,f,happy,,,,,,",
    "Größe.wav,,,,,happy,train,,,,u1,",
    "ümlaut.wav,,,dora,m,sad,dev,s3,,,u1,street",  # the id of another recording
    "b.wav,,,dora,m,,,,,,u2,street",
]


def make_table(folder: Path, rows: list[str] = ROWS, header: str = HEADER) -> Path:
    for name in ("z", "a", "Größe", "ümlaut", "b"):
        write_sound(folder / f"{name}.wav", key=name)
    write_sound(folder / "copy.wav", key="z")
    write_sound(folder / "other.flac", key="other")
    write_sound(folder / "long.wav", seconds=1.0)
    soundfile.write(folder / "silent.wav", np.zeros(1600), 16000)
    soundfile.write(folder / "nan.wav", np.full(1600, np.nan), 16000, subtype="FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "words.wav").write_text("these are words, not sound" * 50)
    table = folder / "data.csv"
    table.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return table


def both(
    name: str, root: Path, caplog: pytest.LogCaptureFixture, *, audio: bool, selection: Selection | None = None
) -> list[tuple[Listing | str, list[str]]]:
    """What the plain way and the stored one give or complain of, and their warnings."""

    def stored() -> Listing:
        with store_corpus(name, root, examine=examine if audio else None, selection=selection) as listing:
            return listing.listing()

    def plain() -> Listing:
        return read_corpus(name, root, examine=examine if audio else None, selection=selection)

    return [told(way, caplog) for way in (plain, stored)]


def told(way: Callable[[], Listing], caplog: pytest.LogCaptureFixture) -> tuple[Listing | str, list[str]]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try:
            found: Listing | str = way()
        except SerenadeError as error:
            found = f"{type(error).__name__}: {error}"
    return found, caplog.messages


SELECTIONS = [
    None,
    Selection(LabelSet(("happy", "sad"))),
    Selection(label_map=parse_label_map("sad=happy")),
    Selection(label_map=parse_label_map("sad=-"), where={"scene": "room"}),
    Selection(
        LabelSet(("happy", "calm")), parse_label_map("sad=neutral"), {"scene": "street|room", "gender": "female"}
    ),
    Selection(LabelSet(("hapy", "sad"))),
    Selection(where={"scene": "roon"}),
    Selection(where={"scenes": "room"}),
    Selection(where={"gender": "male", "scene": "cellar"}),
    Selection(label_map=parse_label_map("tence=sad")),
]


@pytest.mark.parametrize("audio", [True, False])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_finding_of_a_table_is_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, selection: Selection | None, audio: bool
) -> None:
    plain, stored = both("table", make_table(tmp_path), caplog, audio=audio, selection=selection)
    assert stored == plain
    assert isinstance(plain[0], str) or len(plain[0].left_out) > 4


def test_the_table_has_every_finding(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (listing, warnings), _ = both("table", make_table(tmp_path), caplog, audio=True)
    assert isinstance(listing, Listing)
    assert {item.reason for item in listing.left_out} == {
        *("missing", "duplicate", "bad span", "unknown label", "silent", "empty", "undecodable", "not finite")
    }
    assert any("two people under one name" in warning for warning in warnings)
    assert {u.group for u in listing.utterances} >= {"long.wav", "s1"}


@pytest.mark.parametrize("audio", [True, False])
@pytest.mark.parametrize(
    "rows",
    [
        ["a.wav,,,,,happy,tset,,,,,"],
        ["a.wav,,,,,happy,,,"],
        ['"a.wav,,,,,happy,,,,,,'],
        ["gone.wav,,,,,happy,,,,,,", "lost.wav,,,,,sad,,,,,,"],
        [",,,,,happy,,,,,,"],
        [],
    ],
)
def test_complaints_are_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: list[str], audio: bool
) -> None:
    plain, stored = both("table", make_table(tmp_path, rows), caplog, audio=audio)
    assert stored == plain


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_text_is_read_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str, ends: str) -> None:
    table = make_table(tmp_path)
    table.write_bytes(ends.join(["file,emotion,text", "Größe.wav,happy,über"]).encode(encoding))
    plain, stored = both("table", table, caplog, audio=True)
    assert stored == plain
    assert isinstance(plain[0], Listing)
    assert [u.text for u in plain[0].utterances] == ["über"]
    assert len(plain[1]) == (encoding == "latin-1")


def test_recordings_outside_of_the_tables_folder_are_called_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = make_table(tmp_path / "inside")
    for name in ("x/1.wav", "y/2.wav"):
        write_sound(tmp_path / "outside" / name, key=name)
    rows = [
        f"{tmp_path}/outside/x/1.wav,happy",
        "../outside/y/2.wav,sad",
        "a.wav,happy",
        f"{tmp_path}/inside/b.wav,sad",
    ]
    table.write_text("\n".join(["file,emotion", *rows]) + "\n")
    plain, stored = both("table", table, caplog, audio=True)
    assert stored == plain
    assert isinstance(plain[0], Listing)
    assert [u.id for u in plain[0].utterances] == ["a.wav", "b.wav", "x/1.wav", "y/2.wav"]


def test_a_folder_per_class_and_another_corpus_are_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_emodb(tmp_path / "emodb", ["03a01Wa", "03a01Nc", "03a02Fc", "08a01Wa"])
    (root / "wav" / "03a01Wa.wav").write_bytes(b"")
    (root / "wav" / "other.wav").write_bytes(b"")
    for name in ("happy/1.wav", "sad/2.wav", "loose.wav"):
        write_sound(tmp_path / "folders" / name)
    for name, folder in (("emodb", root), ("table", tmp_path / "folders"), ("table", tmp_path)):
        plain, stored = both(name, folder, caplog, audio=True)
        assert stored == plain


def test_a_name_that_is_no_text_is_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "corpus"
    write_sound(root / "sad" / "2.wav")
    for name in (b"\xff.wav", b"a\xff.wav", b"z.wav"):
        write_sound(root / "happy" / "1.wav", key=repr(name)).rename(root / "happy" / os.fsdecode(name))
    (root / "happy" / os.fsdecode(b"\xfe.wav")).write_bytes(b"")
    plain, stored = both("table", root, caplog, audio=True)
    assert stored == plain
    assert isinstance(plain[0], Listing)
    assert len(plain[0].utterances) == 4
