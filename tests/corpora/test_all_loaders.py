"""The contract of every corpus that is registered, on a miniature of its real folder tree."""

import logging
import re
import shutil
from pathlib import Path

import pytest
from tests.corpora.loader_trees import NO_TREE, PENDING, TREES, Table, Tree
from tests.corpora.trees import write_bytes, write_sound

from serenade.core.errors import CorpusError
from serenade.core.labels import EMOTIONS
from serenade.core.records import Listing
from serenade.corpora import CORPORA, read_corpus
from serenade.signal.audio import examine

every_corpus = pytest.mark.parametrize(("name", "tree"), TREES.items(), ids=TREES)
every_table = pytest.mark.parametrize(
    ("name", "tree", "table"),
    [(name, tree, table) for name, tree in TREES.items() for table in tree.tables],
    ids=lambda value: value.path if isinstance(value, Table) else value if isinstance(value, str) else "",
)


def listed(name: str, root: Path) -> Listing:
    return CORPORA.resolve(name).list_files(root)


def test_every_corpus_is_held_to_the_contract() -> None:
    assert set(CORPORA) - {*TREES, *NO_TREE, *PENDING} == set(), "add a tree-maker to loader_trees.py"
    assert {*TREES, *NO_TREE} - set(CORPORA) == set(), "not registered"
    assert set(TREES) & PENDING == set(), "not pending any more"


@every_corpus
def test_a_fresh_tree_is_read_whole(tmp_path: Path, name: str, tree: Tree) -> None:
    corpus, listing = CORPORA.resolve(name), listed(name, tree.make(tmp_path / "root"))
    assert listing.left_out == ()
    ids = [utterance.id for utterance in listing.utterances]
    assert ids == sorted(set(ids))
    assert ids
    assert not any(str(tmp_path) in one for one in ids)
    assert all(utterance.audio.is_file() for utterance in listing.utterances)
    assert {utterance.corpus for utterance in listing.utterances} == {corpus.name} == {name}
    assert {utterance.language for utterance in listing.utterances} == {corpus.language}
    classes = {utterance.emotion for utterance in listing.utterances} - {None}
    assert classes <= set(EMOTIONS)
    assert classes <= set(corpus.expected) or not corpus.expected
    assert all(utterance.speaker for utterance in listing.utterances)
    assert {key for utterance in listing.utterances for key in utterance.votes} <= set(EMOTIONS)


@every_corpus
@pytest.mark.parametrize("suffix", [".flac", ".opus", ".WAV"])
def test_the_container_changes_nothing_but_the_file(tmp_path: Path, name: str, tree: Tree, suffix: str) -> None:
    wav, other = (listed(name, tree.make(tmp_path / kind, suffix=kind)) for kind in (".wav", suffix))
    assert [u.with_(audio=Path()) for u in wav.utterances] == [u.with_(audio=Path()) for u in other.utterances]
    assert {utterance.audio.suffix for utterance in other.utterances} == {suffix}
    assert other.left_out == ()


@every_corpus
def test_a_resampled_flac_copy_is_decoded(tmp_path: Path, name: str, tree: Tree) -> None:
    def write(path: Path) -> Path:
        return write_sound(path, seconds=0.02)

    root = tree.make(tmp_path / "root", suffix=".flac", write=write)
    listing = read_corpus(name, root, examine=examine, workers=1)
    assert listing.left_out == ()
    assert all(u.duration_s is not None and u.duration_s > 0 for u in listing.utterances)


@every_corpus
def test_a_root_above_or_inside_is_corrected(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "above" / "root")
    ids = [utterance.id for utterance in listed(name, root).utterances]
    for wrong in (root.parent, root / tree.inside):
        with pytest.raises(CorpusError, match=rf"lies in {re.escape(str(root))}") as caught:
            listed(name, wrong)
        assert caught.value.expected == CORPORA.resolve(name).layout
        named = re.fullmatch("The corpus lies in (.+): give that folder", str(caught.value.hint))
        assert named is not None
        assert [utterance.id for utterance in listed(name, Path(named[1])).utterances] == ids


@every_corpus
def test_an_absent_root_a_file_and_a_packed_copy_are_told(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "corpus")
    with pytest.raises(CorpusError, match=r"not there: .*corpuss\. .*Did you mean .*corpus\?"):
        listed(name, tmp_path / "corpuss")
    file = next(path for path in root.rglob("*") if path.is_file())
    with pytest.raises(CorpusError, match="this is a file"):
        listed(name, file)
    packed = write_bytes(tmp_path / "far" / "away" / "deep" / "corpus.zip")
    with pytest.raises(CorpusError, match=r"Found: corpus\.zip.*Unpack corpus\.zip first"):
        listed(name, packed.parent)


@every_corpus
def test_foreign_names_are_listed_and_cost_nothing_else(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "root")
    before = listed(name, root).utterances
    for foreign in ("holiday 2019.wav", "a.b.c.wav", "ünïcode_名前.flac"):
        write_bytes(root / tree.foreign / foreign)
    after = listed(name, root)
    assert after.utterances == before
    assert {(Path(item.where).name, item.reason) for item in after.left_out} == {
        (foreign, "unreadable name") for foreign in ("holiday 2019.wav", "a.b.c.wav", "ünïcode_名前.flac")
    }
    assert all("such as" in item.detail for item in after.left_out)


@every_corpus
def test_what_a_mac_leaves_is_not_seen(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "root")
    before = listed(name, root)
    for utterance in before.utterances:
        write_bytes(utterance.audio.with_name(f"._{utterance.audio.name}"))
        write_bytes(root / "__MACOSX" / utterance.audio.relative_to(root))
    write_bytes(root / tree.foreign / ".DS_Store")
    assert listed(name, root) == before


@every_corpus
def test_a_half_unpacked_copy_tells_what_lacks(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "root")
    if tree.part is None:  # then `serenade corpus check` tells it by the counts
        assert CORPORA.resolve(name).expected
        return
    shutil.rmtree(root / tree.part)
    left_out = {item.where: item.reason for item in listed(name, root).left_out}
    assert left_out[tree.absent] == "missing"


@every_corpus
def test_one_recording_in_two_containers_is_one_utterance(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "root")
    before = listed(name, root).utterances
    twin = write_bytes(before[0].audio.with_suffix(".ogg"))
    after = listed(name, root)
    assert [utterance.id for utterance in after.utterances] == [utterance.id for utterance in before]
    (item,) = after.left_out
    assert item.reason == "duplicate"
    assert {Path(item.where).suffix, Path(item.detail).suffix} == {".wav", twin.suffix}


def rewrite(path: Path, text: str, *, encoding: str = "utf-8") -> None:
    path.write_bytes(text.encode(encoding))


@every_table
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_with_mark_and_windows_ends_is_the_same(
    tmp_path: Path, name: str, tree: Tree, table: Table, encoding: str
) -> None:
    root = tree.make(tmp_path / "root")
    before = listed(name, root)
    text = (root / table.path).read_text(encoding="utf-8")
    rewrite(root / table.path, text.replace("\n", "\r\n"), encoding=encoding)
    assert listed(name, root) == before


@every_table
def test_a_table_in_latin_1_is_read_and_told(
    tmp_path: Path, name: str, tree: Tree, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    root = tree.make(tmp_path / "root")
    ids = [utterance.id for utterance in listed(name, root).utterances]
    text = (root / table.path).read_text(encoding="utf-8").encode("ascii", "replace").decode()
    rewrite(root / table.path, text.replace(table.column, f"{table.column}\xe9") + "\n", encoding="latin-1")
    with caplog.at_level(logging.WARNING), pytest.raises(CorpusError, match=f"Did you mean '{table.column}\xe9'"):
        listed(name, root)
    assert "not UTF-8 (line 1)" in caplog.text
    rewrite(root / table.path, text)
    assert [utterance.id for utterance in listed(name, root).utterances] == ids


@every_table
def test_a_table_without_a_column_names_it(tmp_path: Path, name: str, tree: Tree, table: Table) -> None:
    root = tree.make(tmp_path / "root")
    text = (root / table.path).read_text(encoding="utf-8")
    rewrite(root / table.path, text.replace(table.column, "remark", 1))
    message = rf"no column '{table.column}': {re.escape(str(root / table.path))}, line 1\..*Expected: a header with"
    with pytest.raises(CorpusError, match=message):
        listed(name, root)


@every_table
def test_a_table_with_a_key_twice_names_both_lines(tmp_path: Path, name: str, tree: Tree, table: Table) -> None:
    root = tree.make(tmp_path / "root")
    lines = (root / table.path).read_text(encoding="utf-8").splitlines()
    rewrite(root / table.path, "\n".join([*lines, lines[1].replace(*table.change)]))
    message = rf"two different lines for {table.key}: .*line {len(lines) + 1}\..*line 2 has.*Delete the line"
    with pytest.raises(CorpusError, match=message):
        listed(name, root)
