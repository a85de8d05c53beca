"""Whoever gives a folder in which a corpus does not lie is told what lies there, or where to get the corpus."""

from pathlib import Path

import pytest
from tests.corpora.format_trees import make_kaldi
from tests.corpora.loader_trees import TREES, Tree
from tests.corpora.trees import write_bytes

from serenade.core.errors import CorpusError
from serenade.corpora import CORPORA, read_corpus

every_corpus = pytest.mark.parametrize(("name", "tree"), TREES.items(), ids=TREES)


@every_corpus
def test_another_corpus_in_its_place_is_named(tmp_path: Path, name: str, tree: Tree) -> None:
    root = tree.make(tmp_path / "far" / "away" / "root")
    asked = "ravdess" if name == "emodb" else "emodb"
    with pytest.raises(CorpusError) as caught:
        read_corpus(asked, root, examine=None)
    assert caught.value.hint == f"It looks like {CORPORA.resolve(name).title}: serenade corpus check {name} {root}"
    assert len([one for one in CORPORA if (looks := CORPORA.resolve(one).looks_right) is not None and looks(root)]) == 1


def test_a_list_in_its_place_is_named(tmp_path: Path) -> None:
    root = make_kaldi(tmp_path / "far" / "away" / "root")
    with pytest.raises(CorpusError, match="It looks like a Kaldi data folder: serenade corpus check kaldi"):
        read_corpus("lhotse", root, examine=None)


@pytest.mark.parametrize("name", [name for name in CORPORA if name not in ("table", "unlabelled")])
@pytest.mark.parametrize("there", [True, False], ids=["empty", "absent"])
def test_where_nothing_lies_the_way_to_get_it_is_told(tmp_path: Path, name: str, there: bool) -> None:
    root = tmp_path / "far" / "away" / "root"
    (root if there else root.parent).mkdir(parents=True)
    with pytest.raises(CorpusError) as caught:
        read_corpus(name, root, examine=None)
    assert caught.value.hint in (
        f"To get it: serenade corpus fetch {name}",
        f"To get it, see {CORPORA.resolve(name).homepage}",
        f"See {CORPORA.resolve(name).homepage}",
        "To make it: serenade corpus prepare NAME=PATH --out FOLDER" if name == "prepared" else "",
    )


@pytest.mark.parametrize("name", ["table", "audiofolder"])
def test_folders_of_other_things_are_not_taken_for_classes(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home" / "files"  # what lies beside the folder of a test is not looked at from here
    for file in ("music/1.wav", "films/2.wav", "empty/x/1.txt"):
        write_bytes(home / file)
    with pytest.raises(CorpusError) as caught:
        CORPORA.resolve(name).list_files(home / "empty")
    assert "give that folder" not in str(caught.value)
    CORPORA.resolve(name).list_files(home)
    assert f"{home}: no folder is named by an emotion that Serenade knows" in caplog.text
