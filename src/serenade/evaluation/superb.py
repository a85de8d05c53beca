"""The IEMOCAP protocol of the SUPERB benchmark, exactly: five sessions, validation drawn as its toolkit draws it.

Fold k tests session k. The other four sessions are one pool in a fixed order; a permutation drawn with seed 0 gives its
first 80 % to training and the rest to validation. The benchmark publishes the pools and the test lists, but no
validation list: that is drawn when training starts. Everything here was rebuilt from the order of the published lists,
and `CHECK_VALUES` tells whether the utterances at hand give the same lists.

Test speakers are unseen. Validation is drawn from the training sessions, so the epoch is chosen on seen speakers: that
makes validation figures too good, not the tested ones.

Source: S. Yang et al., "SUPERB: Speech processing Universal PERformance Benchmark", Interspeech 2021; emotion task
(ER) of the s3prl toolkit.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

from serenade.core.errors import SplitError
from serenade.core.records import Fold, Split, Utterance
from serenade.evaluation.splits import SplitSettings

__all__ = ["CHECK_VALUES", "CLASSES", "check_value", "name_of", "permutation", "pool_order", "superb"]

CLASSES = ("neutral", "happy", "angry", "sad")
"""In the order of SUPERB's class indices; excited is merged into happy."""

_NAME = re.compile(r"Ses0(?P<session>[1-5])(?P<dialogue>[FM]_(?:impro|script)\w+)_[FM]\w+")
_SESSIONS = 5

# The dialogues of each session in the order of the published lists, which is that of a directory listing.
_LISTINGS = (
    """
    F_script02_2 F_impro07 F_script03_2 M_impro02 F_impro06 F_script01_3 M_script02_1 M_impro04 M_script01_1
    F_impro01 F_script01_1 F_impro05 M_script01_2 M_script02_2 F_script02_1 M_script03_2 M_impro05 M_impro01
    F_impro03 M_impro03 M_script01_3 F_script03_1 M_impro07 F_impro02 M_impro06 M_script03_1 F_impro04 F_script01_2
    """,
    """
    F_impro03 F_script03_2 M_script03_2 M_impro04 M_impro05 F_script02_1 F_script02_2 M_script02_2 M_impro08
    M_impro07 F_script03_1 M_script01_3 F_impro06 F_impro01 F_impro04 F_script01_2 M_impro02 M_impro03 F_script01_3
    F_impro05 F_script01_1 M_impro06 M_script02_1 F_impro08 F_impro02 M_script01_1 M_impro01 M_script01_2
    M_script03_1 F_impro07
    """,
    """
    F_script02_1 M_impro04 M_script03_2 M_impro05b M_impro02 F_impro05 M_script02_2 M_impro08b F_impro07
    M_script01_1 M_script02_1 M_impro05a M_impro07 M_script03_1 F_script03_1 M_impro01 F_script01_1 F_impro04
    F_script02_2 F_script01_3 M_script01_3 M_impro06 F_impro01 F_impro03 M_script01_2 M_impro08a M_impro03
    F_script03_2 F_script01_2 F_impro08 F_impro06 F_impro02
    """,
    """
    F_script03_1 F_impro01 M_script02_1 M_script02_2 F_script01_3 M_impro05 F_script02_1 F_impro07 F_impro02
    F_impro03 M_impro02 F_script01_1 M_script01_1 F_script03_2 M_impro06 F_script02_2 M_impro01 M_impro04 F_impro05
    F_script01_2 F_impro08 F_impro06 M_impro03 M_script01_3 M_script01_2 M_script03_1 M_script03_2 M_impro07
    F_impro04 M_impro08
    """,
    """
    M_script01_3 F_impro04 M_script02_2 F_script01_3 F_script01_2 F_impro06 M_impro06 M_impro01 F_script03_1
    F_impro07 F_script03_2 M_script01_1b F_impro05 M_script01_1 F_impro08 M_script03_1 M_impro05 F_impro01 F_impro02
    M_impro03 F_script01_1 M_impro04 M_script02_1 F_impro03 F_script02_2 F_script02_1 M_script03_2 M_impro08
    M_impro02 M_impro07 M_script01_2
    """,
)
_DIALOGUES = tuple({dialogue: place for place, dialogue in enumerate(names.split())} for names in _LISTINGS)

CHECK_VALUES = (
    ("cea2fbbe35b96e04", "c22adbef3f9af132", "81f022a7013b2f04", "51cd40131d154f0b"),
    ("95ed37e93e1c4918", "825e3310340e8574", "99fab34a5c23ff9f", "feb36442a844ae2f"),
    ("b14e55e9cdfdd928", "68a34489d6889a0b", "36509928efafbd58", "cf67893b615a6c6a"),
    ("a0ba93581b672f30", "4f61383808206b39", "b7c5f2815b4fd47e", "338d531453c240ca"),
    ("6bdf123e6706b968", "ac06806095c7d6d2", "5760897836dd6cc8", "d9c3e6c7e7b01a44"),
)
"""Per fold the check values of the pool in its order, and of train, validation and test sorted (see `check_value`)."""

_PARTS = ("pool", "train", "validation", "test")


def superb(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """Leave-one-session-out over IEMOCAP with SUPERB's random 80:20 of training and validation.

    The split's notes say whether the lists are the published ones, and name those that are not. Neither the seed nor
    the number of validation speakers plays a role.

    Raises:
        SplitError: an utterance is not of IEMOCAP, or a session is missing.
    """
    by_name = _by_name(utterances)
    folds, unmet = [], []
    for number in range(1, _SESSIONS + 1):
        fold, values = _make_fold(number, by_name)
        folds.append(fold)
        pairs = zip(_PARTS, values, CHECK_VALUES[number - 1], strict=True)
        unmet += [
            f"{part} of fold {number} ({value}, not {wanted})" for part, value, wanted in pairs if value != wanted
        ]
    return Split("superb", tuple(folds), notes=(_SEEN, *_verdict(unmet, utterances)))


_SEEN = (
    "validation is drawn from the training sessions, as in SUPERB: the epoch is chosen on speakers who are trained on; "
    "the tested session is unseen"
)


def name_of(utterance: Utterance) -> str:
    """The utterance's own name, without folders or the corpus's name before it."""
    return utterance.id.rpartition("/")[2]


def pool_order(name: str) -> tuple[str, int, str]:
    """Sorts names of IEMOCAP's utterances as SUPERB's lists do: session, dialogue in the listing's order, name.

    Raises:
        SplitError: the name is not one of IEMOCAP.
    """
    found = _NAME.fullmatch(name)
    place = None if found is None else _DIALOGUES[int(found["session"]) - 1].get(found["dialogue"])
    if found is None or place is None:
        raise SplitError(
            "the split superb is for IEMOCAP only",
            where=f"utterance {name}",
            expected="ids such as Ses01F_impro01_F000, of one of its 151 dialogues",
            hint="Use session to leave out one session of another corpus",
        )
    return found["session"], place, name


def permutation(size: int) -> list[int]:
    """What PyTorch's CPU generator draws for ``randperm(size)`` with seed 0, without PyTorch.

    MT19937 seeded with 0; position i changes places with position i + (word modulo what is left).
    """
    import numpy as np

    words = np.random.RandomState(0).randint(0, 2**32, size=max(size - 1, 0), dtype=np.uint32)
    order = list(range(size))
    for place, word in enumerate(words.tolist()):
        other = place + word % (size - place)
        order[place], order[other] = order[other], order[place]
    return order


def check_value(names: Iterable[str]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of names joined by line feeds."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _by_name(utterances: Sequence[Utterance]) -> dict[str, Utterance]:
    """Utterances by their own name, in the order of the pools."""
    by_name = {name_of(u): u for u in utterances}
    ordered = sorted(by_name, key=pool_order)
    absent = sorted(set("12345") - {name[4] for name in ordered})
    if absent:
        raise SplitError("a session of IEMOCAP is missing", where="split superb", found=f"no session {absent[0]}")
    return {name: by_name[name] for name in ordered}


def _make_fold(number: int, by_name: dict[str, Utterance]) -> tuple[Fold, list[str]]:
    """The fold that tests a session, and the check values of its pool and parts."""
    test = [name for name in by_name if name[4] == str(number)]
    pool = [name for name in by_name if name[4] != str(number)]
    order = permutation(len(pool))
    num_train = 4 * len(pool) // 5
    train, validation = ([pool[place] for place in places] for places in (order[:num_train], order[num_train:]))
    values = [check_value(pool), *(check_value(sorted(names)) for names in (train, validation, test))]
    train, validation, test = (sorted(by_name[name].id for name in names) for names in (train, validation, test))
    return Fold(f"session-{number}", tuple(train), tuple(validation), tuple(test)), values


def _verdict(unmet: Sequence[str], utterances: Sequence[Utterance]) -> list[str]:
    """Whether these are the published lists."""
    classes = {str(u.emotion) for u in utterances}
    notes = []
    if unmet:
        shown = "; ".join(unmet[:4]) + (f"; and {len(unmet) - 4} more" if len(unmet) > 4 else "")
        notes.append(
            f"WARNING: these are not SUPERB's lists, {len(unmet)} of {_SESSIONS * len(_PARTS)} check values differ: "
            f"{shown}. There are {len(utterances)} utterances; SUPERB has 5531, with excited merged into happy"
        )
    else:
        notes.append("all 20 check values are those of SUPERB's lists")
    if classes != set(CLASSES):
        notes.append(f"WARNING: the classes are {', '.join(sorted(classes))}; SUPERB has {', '.join(sorted(CLASSES))}")
    return notes
