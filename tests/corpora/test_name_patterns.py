"""Patterns of file names: what they read, what they refuse, and which are guessed from real corpora's names."""

from itertools import product

import pytest

from serenade.core.errors import UsageError
from serenade.corpora.name_patterns import NamePattern, guess_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        (
            "{speaker}_{emotion}_{text}",
            "anna_angry_go_away.wav",
            {"speaker": "anna", "emotion": "angry", "text": "go_away"},
        ),
        ("{speaker}_{emotion}_{text}.wav", "x/anna_sad_1.flac", {"speaker": "anna", "emotion": "sad", "text": "1"}),
        ("{speaker}/{emotion}/*", "deep/anna/Wut/1.wav", {"speaker": "anna", "emotion": "Wut"}),
        ("{speaker}/{emotion}/*", "Wut/1.wav", None),
        (
            "{speaker:2}{sentence:3}{emotion:1}{_}",
            "wav/03a01Fa.wav",
            {"speaker": "03", "sentence": "a01", "emotion": "F"},
        ),
        ("{speaker}_{emotion}{take}", "DC_sa12.wav", {"speaker": "DC", "emotion": "sa", "take": "12"}),
        ("{speaker}_{emotion}{take}", "DC_sa.wav", None),
        ("{emotion}/{speaker}-{emotion}-{_}", "sad/x-sad-01.wav", {"emotion": "sad", "speaker": "x"}),
        ("{emotion}/{speaker}-{emotion}-{_}", "sad/x-angry-01.wav", None),
        ("Actor_{speaker}/*-*-{emotion}-*", "Actor_07/03-01-05-01.wav", {"speaker": "07", "emotion": "05"}),
        ("{speaker} ({emotion})", "Zoë (fröhlich).ogg", {"speaker": "Zoë", "emotion": "fröhlich"}),
        ("a+b_{emotion}", "aab_sad.wav", None),
    ],
)
def test_pieces_of_paths(pattern: str, path: str, found: dict[str, str] | None) -> None:
    assert NamePattern(pattern).reader()(path) == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{speaker_{emotion}", "a brace has no partner"),
        ("{speaker}}_{emotion}", "a brace has no partner"),
        ("*/*", "it names nothing"),
        ("{_}", "it names nothing"),
        ("", "it names nothing"),
        ("{speeker}_{emotion}", r"no piece 'speeker'.*Did you mean \{speaker\}\?"),
    ],
)
def test_faults_of_patterns_are_named(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NamePattern(pattern)


EMOTIONS = ("angry", "happy", "sad", "neutral")


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ([f"{s}_{e}_{n}.wav" for s, e, n in product(("anna", "ben"), EMOTIONS, range(3))], "{speaker}_{emotion}_{_}"),
        ([f"{e}/{n}.wav" for e, n in product(EMOTIONS, range(3))], "{emotion}/*"),
        ([f"{s}/{e}/{n}.wav" for s, e, n in product(("anna", "ben"), EMOTIONS, range(3))], "{speaker}/{emotion}/*"),
        ([f"{e}/{s}/{n}.wav" for s, e, n in product(("anna", "ben"), EMOTIONS, range(3))], "{emotion}/{speaker}/*"),
        # TESS, nEMO, TurEV-DB and the layout of serenade's own practice data
        (
            [
                f"TESS/{s}_{e}/{s}_{w}_{e}.wav"
                for s, e, w in product(("OAF", "YAF"), ("angry", "sad"), ("back", "bar", "base"))
            ],
            "{speaker}_{_}_{emotion}",
        ),
        (
            [f"samples/{s}_{e}_{n}.wav" for s, e, n in product(("SB0", "KD0"), ("anger", "sadness", "fear"), range(4))],
            "{speaker}_{emotion}_{_}",
        ),
        (
            [
                f"Sound/{e}/{n}_{s}_{w}.wav"
                for e, n, s, w in product(("Angry", "Sad"), (1157, 1984), ("kz", "hl"), ("ev", "su"))
            ],
            "{emotion}/{speaker}_{_}_{_}",
        ),
        (
            [f"s{s:02d}/s{s:02d}-{e}-{n:02d}.flac" for s, e, n in product((1, 2, 3), EMOTIONS, (1, 2))],
            "{speaker}/{_}-{emotion}-{_}",
        ),
        ([f"{s}-{e}{n:02d}.wav" for s, e, n in product(("anna", "ben"), EMOTIONS, range(3))], "{speaker}-{emotion}{_}"),
        (
            [f"{p}/{g}/{e}_{n}.wav" for p, g, e, n in product(("train", "test"), "mf", EMOTIONS, range(3))],
            "{split}/{gender}/{emotion}_{_}",
        ),
    ],
)
def test_patterns_are_guessed_from_names(names: list[str], pattern: str) -> None:
    guessed = guess_pattern(names)
    assert guessed is not None
    assert guessed.text == pattern
    read = guessed.reader()
    assert all(read(name) is not None for name in names)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a.wav"],
        [f"{n}.wav" for n in range(20)],
        [f"03a{n:02d}{e}a.wav" for n, e in product(range(5), "WLEAF")],  # EMO-DB: single letters are too little
        [f"angry/{n}.wav" for n in range(5)] + [f"deep/sad/{n}.wav" for n in range(5)],  # no common depth
    ],
)
def test_nothing_is_guessed_where_nothing_is_to_be_seen(names: list[str]) -> None:
    assert guess_pattern(names) is None


def test_a_few_odd_names_do_not_hide_the_pattern() -> None:
    names = [f"{s}_{e}_{n}.wav" for s, e, n in product(("anna", "ben"), EMOTIONS, range(5))]
    guessed = guess_pattern([*names, "room tone.wav", "notes/test_1.wav"])
    assert guessed is not None
    assert guessed.text == "{speaker}_{emotion}_{_}"
