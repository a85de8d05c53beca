"""Label words of a user's own data: the table's emotions, classes of his own, no label, or a slip of the pen.

A word that Serenade's table knows becomes the table's name. Any other word is a class of the user's own, as written.
Two things keep that from hiding mistakes: words that differ only in case or blanks are one class, and a rare word that
is one letter away from a more frequent one (``hapy`` beside ``happy``) is taken for a slip and reported, not trained
on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from serenade.core.labels import EMOTIONS, canonical_emotion

__all__ = ["Slip", "read_labels"]

_NO_LABEL = frozenset(
    (
        *("", "-", "?", "na", "n/a", "nan", "none", "null", "unlabelled", "unlabeled", "unknown"),
        *("xxx", "no agreement", "no_agreement"),  # IEMOCAP's code and others' for votes without a majority
        *("unk", "<unk>", "emo_unknown", "<|emo_unknown|>"),  # emotion2vec, SenseVoice
    )
)
_RARE = 2  # a word that stands more often than this is meant
_SHORTEST = 4  # letters from which one letter away means a slip: sad and mad are two words


@dataclass(frozen=True, slots=True)
class Slip:
    """A word that was probably meant to be another one.

    Args:
        word: as written.
        meant: the more frequent word one letter away.
        times: how often the word stands.
    """

    word: str
    meant: str
    times: int

    def __str__(self) -> str:
        rows = "once" if self.times == 1 else f"{self.times} times"
        return f"{self.word!r} stands {rows}, one letter away from {self.meant!r}; correct it"


def read_labels(words: Iterable[str]) -> Mapping[str, str | Slip | None]:
    """What each word of a table means: a class, None for no label, or a `Slip`.

    Args:
        words: the label of every row, as written.
    """
    written = Counter(words)
    plain = Counter[str]()
    for word, times in written.items():
        if _plain(word) not in _NO_LABEL:
            plain[_plain(word)] += times
    translate = _translatable(plain)
    names = {word: canonical_emotion(word) if word in translate else None for word in plain}
    counts = Counter[str]()
    for word, times in plain.items():
        counts[names[word] or word] += times
    meanings: dict[str, str | Slip | None] = {}
    for word in written:
        key = _plain(word)
        if key in _NO_LABEL:
            meanings[word] = None
        elif names[key] is not None:
            meanings[word] = names[key]
        else:
            meant = _meant(key, counts)
            spelling = _spelling(key, written)
            meanings[word] = spelling if meant is None else Slip(spelling, meant, plain[key])
    return meanings


def _plain(word: str) -> str:
    return " ".join(word.split()).lower()


def _spelling(plain: str, written: Mapping[str, int]) -> str:
    """The most frequent way to write an own word."""
    ways = Counter[str]()
    for word, times in written.items():
        if _plain(word) == plain:
            ways[" ".join(word.split())] += times
    return min(ways, key=lambda way: (-ways[way], way))


def _translatable(plain: Iterable[str]) -> set[str]:
    """Words that may be read as the table's: single letters only where all words are known.

    A means anger in one corpus and Angst (fear) in another.
    """
    known = {word for word in plain if canonical_emotion(word) is not None}
    return known if known == set(plain) else {word for word in known if len(word) > 1}


def _meant(word: str, counts: Mapping[str, int]) -> str | None:
    """The more frequent word that a rare one is a slip of; known spellings count as frequent."""
    if counts[word] > _RARE or len(word) < _SHORTEST:
        return None
    spellings = {spelling: name for name, others in EMOTIONS.items() for spelling in (name, *others)}
    for other, times in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if times > counts[word] and _one_slip_apart(word, other):
            return other
    return next((name for spelling, name in spellings.items() if _one_slip_apart(word, spelling)), None)


def _one_slip_apart(word: str, other: str) -> bool:
    """Whether one letter was left out, added, changed, or two neighbours were swapped; digits are never slips."""
    if word == other or len(other) < _SHORTEST or abs(len(word) - len(other)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    one, two = word[start:], other[start:]
    swapped = len(one) == len(two) >= 2 and one[:2] == two[1::-1] and one[2:] == two[2:]
    if any(letter.isdigit() for letter in one[:1] + two[:1]):
        return False
    return swapped or one[1:] == two[1:] or one[1:] == two or one == two[1:]
