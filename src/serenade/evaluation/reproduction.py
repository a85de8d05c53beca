"""Running the split of somebody else: the folds of a split file, and what of them is not as it is here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from serenade.core.errors import SplitError
from serenade.core.records import Fold, NearDuplicate, Split, Utterance
from serenade.core.wording import counted
from serenade.evaluation.leaks import LeakReport
from serenade.evaluation.nested import check_folds
from serenade.evaluation.split_files import SplitDocument, check_value, read_split_file
from serenade.evaluation.splits import SplitSettings

__all__ = ["Differences", "check_document", "compare", "from_file"]

_PARTS = ("train", "validation", "test")
_SHOWN = 3  # ids named in a message


@dataclass(frozen=True, slots=True)
class Differences:
    """How utterances at hand differ from those of a split file; ids, sorted.

    Args:
        total: utterances in the file.
        absent: in the file, but not here.
        unlisted: here, but not in the file.
        changed: the recording's bytes are others: another format, or other sound.
        relabelled: another class here.
        other_speaker: another speaker here.
    """

    total: int
    absent: tuple[str, ...]
    unlisted: tuple[str, ...]
    changed: tuple[str, ...]
    relabelled: tuple[str, ...]
    other_speaker: tuple[str, ...]

    @property
    def damaging(self) -> bool:
        """Whether figures are not those of the file: utterances absent, changed, or of another class."""
        return bool(self.absent or self.changed or self.relabelled)

    def messages(self) -> list[str]:
        """One sentence for each kind of difference; that all is the same where it is."""
        kinds = (
            (self.absent, f"of {self.total} utterances of the split file are not here, and left out of its folds"),
            (self.changed, f"of {self.total} recordings have other bytes than those of the split file"),
            (self.relabelled, f"of {self.total} utterances have another class than in the split file"),
            (self.other_speaker, f"of {self.total} utterances have another speaker than in the split file"),
        )
        found = [f"{len(ids)} {words}: {_some(ids)}" for ids, words in kinds if ids]
        if self.unlisted:
            there = counted(len(self.unlisted), "utterance")
            found.append(f"{there} here that the split file does not name, not used: {_some(self.unlisted)}")
        if not self.damaging:
            found.insert(0, f"all {self.total} utterances of the split file are here and unchanged")
        return found


def compare(document: SplitDocument, utterances: Sequence[Utterance]) -> Differences:
    """What of a split file is not as it is here.

    Raises:
        SplitError: none of its utterances is here.
    """
    here = {u.id: u for u in utterances}
    both = [(u, here[u.id]) for u in document.utterances if u.id in here]
    if not both:
        raise SplitError(
            "the split file is of other data: none of its utterances is here",
            found=f"ids such as {utterances[0].id}" if utterances else "no utterances",
            expected=f"ids such as {document.utterances[0].id}",
            hint=f"Name the corpora of the file: {', '.join(document.corpora)}",
        )
    named = {u.id for u in document.utterances}
    return Differences(
        total=len(named),
        absent=tuple(sorted(named - here.keys())),
        unlisted=tuple(sorted(here.keys() - named)),
        changed=tuple(a.id for a, b in both if a.content is not None is not b.content and a.content != b.content),
        relabelled=tuple(a.id for a, b in both if a.emotion != b.emotion),
        other_speaker=tuple(a.id for a, b in both if a.speaker != b.speaker),
    )


def check_document(document: SplitDocument, near_duplicates: Sequence[NearDuplicate] = ()) -> LeakReport:
    """The leak check of a split from what its file says, without the recordings.

    Args:
        document: the split.
        near_duplicates: pairs of its utterances that hold the same take, where somebody who has the recordings looked.

    Raises:
        SplitError: the folds are not valid.
    """
    # Two corpora may both have a file a.wav.
    placed = [u.with_(audio=Path("/", u.corpus, u.audio)) for u in document.utterances]
    return check_folds(document.split, placed, near_duplicates)


def from_file(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The folds of a split file, for the utterances that are here; what differs is told in the notes.

    Raises:
        SplitError: the file is not a valid split, is of other data, or a part of a fold has no utterance here.
    """
    if settings.path is None:
        raise SplitError("the split file needs a path", expected="file:PATH, a file that `serenade split make` wrote")
    document = read_split_file(settings.path)
    differences = compare(document, utterances)
    split = document.split
    absent = set(differences.absent)
    if absent:
        split = replace(split, folds=tuple(_without(fold, absent, split.name) for fold in split.folds))
    value = check_value(document.split, document.utterances)
    origin = f"folds from the split file {settings.path.name}, check value {value}"
    return replace(split, notes=(*split.notes, origin, *differences.messages()))


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")


def _without(fold: Fold, absent: set[str], name: str) -> Fold:
    """The fold without some utterances.

    Raises:
        SplitError: nothing would be left to train on or to test.
    """
    parts = {part: tuple(one for one in getattr(fold, part) if one not in absent) for part in _PARTS}
    for part in _PARTS:
        if getattr(fold, part) and not parts[part]:
            raise SplitError(
                f"none of the utterances of a {part} part is here",
                where=f"split {name}, fold {fold.name}",
                found=f"{len(getattr(fold, part))} are missing, such as {getattr(fold, part)[0]}",
            )
    inner = tuple(_without(one, absent, name) for one in fold.inner)
    return Fold(fold.name, parts["train"], parts["validation"], parts["test"], inner)
