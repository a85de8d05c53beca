"""The picture of an utterance, in every corpus that has one."""

from pathlib import Path

from tests.corpora.acted_trees import make_cremad
from tests.corpora.conversation_trees import Turn, make_cmu_mosei, make_iemocap, make_meld, place_file
from tests.corpora.trees import make_ravdess

from serenade.core.records import Listing, Utterance, Video
from serenade.corpora import cmu_mosei, cremad, iemocap, meld, ravdess


def films(listing: Listing) -> dict[str, Video | None]:
    return {u.id: u.video for u in listing.utterances}


def test_a_take_of_ravdess_is_heard_and_seen(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ["03-01-03-01-02-01-01", "03-01-04-01-02-01-01", "03-01-05-01-02-01-01"])
    make_ravdess(
        root, ["01-01-03-01-02-01-01", "02-01-03-01-02-01-01", "02-01-04-01-02-01-01"], suffix=".mp4", write=place_file
    )
    listing = ravdess.list_files(root)
    assert films(listing) == {
        "03-01-03-01-02-01-01": Video(root / "Actor_01/01-01-03-01-02-01-01.mp4"),
        "03-01-04-01-02-01-01": Video(root / "Actor_01/02-01-04-01-02-01-01.mp4"),
        "03-01-05-01-02-01-01": None,
    }
    assert [item.where for item in listing.left_out] == ["Actor_01/02-01-03-01-02-01-01.mp4"]


def test_videos_of_ravdess_alone_are_takes_under_the_same_names(tmp_path: Path) -> None:
    names = ["01-01-03-01-02-01-01", "02-01-03-01-02-01-01", "02-01-04-01-02-01-01", "01-01-09-01-02-01-01"]
    listing = ravdess.list_files(make_ravdess(tmp_path, names, suffix=".mp4", write=place_file))
    (utterance,) = listing.utterances
    path = tmp_path / "Actor_01/01-01-03-01-02-01-01.mp4"
    assert (utterance.id, utterance.audio, utterance.video) == ("03-01-03-01-02-01-01", path, Video(path))
    assert (utterance.emotion, utterance.speaker) == ("happy", "01")
    assert len(listing.left_out) == 3  # an emotion that is none, two videos without sound


def test_the_half_of_iemocap_shows_who_talks(tmp_path: Path) -> None:
    dialogue = "Ses01F_impro01"
    root = make_iemocap(
        tmp_path, [(f"{dialogue}_{letter}000", Turn(f"Ses01{letter}", "impro", "ang")) for letter in "FM"]
    )
    assert set(films(iemocap.list_files(root)).values()) == {None}
    film = place_file(root / f"Session1/dialog/avi/DivX/{dialogue}.avi")
    seen = films(iemocap.list_files(root))
    assert seen[f"{dialogue}_F000"] == Video(film, 6.2901, 8.2357, "left")
    assert seen[f"{dialogue}_M000"] == Video(film, 9.2901, 11.2357, "right")


def test_the_channel_of_iemocap_holds_who_talks(tmp_path: Path) -> None:
    dialogue = "Ses01M_impro01"
    root = make_iemocap(
        tmp_path, [(f"{dialogue}_{letter}000", Turn(f"Ses01{letter}", "impro", "ang")) for letter in "FM"]
    )

    def cut() -> dict[str, tuple[str, float, float | None, int | None]]:
        found: tuple[Utterance, ...] = iemocap.list_uncut(root).utterances
        return {u.id[-4:]: (u.audio.parent.parent.name, u.start_s, u.end_s, u.channel) for u in found}

    assert cut() == {"F000": ("wav", 0.0, None, None), "M000": ("wav", 0.0, None, None)}  # of sentences/wav
    place_file(root / f"Session1/dialog/wav/{dialogue}.wav")
    assert cut() == {"F000": ("dialog", 6.2901, 8.2357, 1), "M000": ("dialog", 9.2901, 11.2357, 0)}


def test_an_utterance_of_mosei_is_the_same_span_of_sound_and_video(tmp_path: Path) -> None:
    root = make_cmu_mosei(tmp_path)
    film = place_file(root / "Videos/Full/Combined/-3g5yACwYnA.mp4")
    place_file(root / "Videos/Segmented/Combined/125344_0.mp4")
    seen = films(cmu_mosei.list_files(root))
    assert seen["-3g5yACwYnA_10"] == Video(film, 3.5, 9.25)
    assert seen["125344_0"] is None


def test_a_clip_of_meld_is_heard_and_seen(tmp_path: Path) -> None:
    listing = meld.list_files(make_meld(tmp_path))
    assert all(u.video == Video(u.audio) for u in listing.utterances)


def test_flash_videos_of_cremad_are_found_by_name(tmp_path: Path) -> None:
    root = make_cremad(tmp_path)
    flash = place_file(root / "VideoFlash/1001_DFA_ANG_XX.flv")
    assert films(cremad.list_files(root))["1001_DFA_ANG_XX"] == Video(flash)
    converted = place_file(root / "VideoMP4/1001_DFA_ANG_XX.mp4")
    seen = films(cremad.list_files(root))
    assert seen["1001_DFA_ANG_XX"] == Video(converted)
    assert seen["1002_DFA_ANG_XX"] is None
