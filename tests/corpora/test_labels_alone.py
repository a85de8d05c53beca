"""Lists of recordings are read where the recordings are not at hand, as `serenade corpus check --no-audio` does."""

import shutil
from pathlib import Path

import pytest
from tests.corpora.format_trees import make_audiofolder
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.exporting import FORMATS, export_corpus
from serenade.signal.audio import examine

ROWS = ("file,speaker,emotion", "audio/a.wav,anna,anger", "audio/b.wav,ben,joy", "audio/sub/c.wav,ben,relieved")


def make_list(root: Path, name: str) -> Path:
    """A list of three recordings in a format, and the recordings below ``audio``."""
    if name == "audiofolder":
        return make_audiofolder(root, [ROWS[0].replace("file", "file_name"), *ROWS[1:]])
    for row in ROWS[1:]:
        write_sound(root / row.split(",")[0])
    (root / "table.csv").write_text("\n".join(ROWS) + "\n")
    if name == "table":
        return root / "table.csv"
    utterances = read_corpus("table", root / "table.csv", examine=examine).utterances
    form = FORMATS.resolve(name)
    return export_corpus(CORPORA.resolve("table"), utterances, form, root / "as", facts=examine)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # audformat's own use of pandas
@pytest.mark.parametrize("name", ["table", "kaldi", "lhotse", "emobox", "audformat", "audiofolder"])
def test_labels_are_the_same_without_the_recordings(tmp_path: Path, name: str) -> None:
    if name == "audformat":
        pytest.importorskip("audformat", reason="needs the package audformat (the extra of that name)")
    root = tmp_path / "so/deep/that/no/other/recording/is/above"
    path = make_list(root, name)
    with_recordings = read_corpus(name, path, examine=None)
    assert [u.emotion for u in with_recordings.utterances] == ["angry", "happy", "relieved"]
    shutil.rmtree(root / "audio")
    with pytest.raises(CorpusError, match=r"none of 3 recordings.*--no-audio"):
        read_corpus(name, path, examine=examine)
    labels = read_corpus(name, path, examine=None)
    assert [u.with_(audio=Path()) for u in labels.utterances] == [
        u.with_(audio=Path()) for u in with_recordings.utterances
    ]
    assert labels.left_out == ()


def test_a_named_folder_of_recordings_must_be_there_in_any_case(tmp_path: Path) -> None:
    path = make_list(tmp_path, "kaldi")
    with pytest.raises(CorpusError, match="the folder of the recordings is not there"):
        read_corpus("kaldi", Path(f"{path}#audio=nowhere"), examine=None)
