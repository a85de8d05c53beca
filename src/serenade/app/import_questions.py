"""The questions of ``serenade corpus import``: which column is what, what paths say, what words mean."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from serenade.app.dialogue import Dialogue
from serenade.core.errors import UsageError
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.corpora.importing import ImportSettings, Source
    from serenade.corpora.name_patterns import NamePattern

__all__ = ["require_labels_known", "settle_columns", "settle_pattern", "settle_words"]

_ASKED = ("file", "speaker", "gender", "emotion")
"""Columns asked for even if none is proposed; the others only where there is a proposal."""
_EXAMPLES = 3
_SHOWN = 12


def settle_columns(data: "Source", settings: "ImportSettings", dialogue: Dialogue) -> "ImportSettings":
    """The settings with every column: by flags, by names that are certain, or by questions.

    Raises:
        UsageError: a flag names a column that is not there.
    """
    from serenade.corpora.cells import COLUMNS
    from serenade.corpora.foreign_columns import propose_columns
    from serenade.corpora.importing import DROP

    if data.header == ("file",):
        return settings.model_copy(update={"columns": {"file": "file", **settings.columns}})
    columns = {_our_column(ours): theirs for ours, theirs in settings.columns.items()}
    columns = {ours: theirs if theirs == DROP else data.column(theirs) for ours, theirs in columns.items()}
    free = [name for name in data.header if name not in columns.values()]
    proposals = propose_columns(free, [row for _, row in data.rows], data.finder)
    if dialogue.asks:
        dialogue.tell(f"{data.path} has {counted(len(data.rows), 'row')} and the columns {', '.join(data.header)}.")
    for ours in COLUMNS:
        proposal = proposals.get(ours)
        if ours in columns or (proposal is None and ours not in _ASKED):
            continue
        if proposal is not None and proposal.certain and proposal.column is not None:
            columns[ours] = proposal.column
        elif proposal is not None and proposal.column is None:
            rivals = " or ".join(proposal.rivals)
            columns[ours] = _ask_column(data, dialogue, f"{ours}: which column, {rivals}?", None, ours)
        elif proposal is not None:
            question = f"{ours}: which column ({proposal.column}: {proposal.reason}{_sample(data, proposal.column)})?"
            columns[ours] = _ask_column(data, dialogue, question, proposal.column, ours)
        elif dialogue.asks or ours == "file":
            none = None if ours == "file" else DROP
            columns[ours] = _ask_column(data, dialogue, f"{ours}: which column? - is none", none, ours)
    return settings.model_copy(update={"columns": {ours: theirs for ours, theirs in columns.items() if theirs}})


def _our_column(name: str) -> str:
    from serenade.core.names import nearest
    from serenade.corpora.cells import COLUMNS

    if name not in COLUMNS:
        close = nearest(name, COLUMNS)
        raise UsageError(
            f"there is no column {name!r}",
            expected=f"one of {', '.join(COLUMNS)}",
            hint=f"Did you mean {close}?" if close else "The left side of --column is Serenade's name",
        )
    return name


def _ask_column(data: "Source", dialogue: Dialogue, question: str, proposal: str | None, ours: str) -> str:
    """A column of the source, ``-`` for none, or nothing where nobody can be asked."""
    from serenade.corpora.importing import DROP

    while True:
        answer = dialogue.ask(question, proposal, flag=_flag("column", ours, proposal or "COLUMN"))
        if answer in ("", DROP):
            return answer
        try:
            return data.column(answer)
        except UsageError as error:
            dialogue.tell(f"  {error}")


def _sample(data: "Source", column: str | None) -> str:
    """A few different values of a column, in words."""
    values = list(dict.fromkeys(row[column] for _, row in data.rows if column is not None and row.get(column)))
    shown = ", ".join(value if len(value) <= 30 else f"{value[:29]}…" for value in values[:_EXAMPLES])
    return f": {shown}" + (f", ... {len(values)} different" if len(values) > _EXAMPLES else "") if values else ""


def settle_pattern(data: "Source", settings: "ImportSettings", dialogue: Dialogue) -> "ImportSettings":
    """The settings with a pattern, where the emotion does not stand in a column.

    Raises:
        UsageError: no pattern is seen and nobody can be asked.
    """
    from serenade.corpora.importing import DROP
    from serenade.corpora.name_patterns import NamePattern, guess_pattern

    has_emotion = settings.columns.get("emotion", DROP) != DROP
    column = settings.columns.get("file", "")
    if settings.pattern is not None or has_emotion or column not in data.header:
        if settings.pattern is not None:
            _show_pattern(dialogue, NamePattern(settings.pattern), data, column)
        return settings
    if data.path.is_file():
        return settings
    guess = guess_pattern([row.get(column, "") for _, row in data.rows])
    if guess is None and settings.labels == {} and not dialogue.asks:
        raise UsageError(
            "the names of the recordings do not show who speaks and how",
            where=data.path,
            found=", ".join(where for where, _ in data.rows[:_EXAMPLES]),
            hint="Say how to read them: --pattern '{speaker}_{emotion}_{text}'",
        )
    proposal = None if guess is None else guess.text
    while True:
        if guess is not None:
            _show_pattern(dialogue, guess, data, column)
        flag = f"--pattern '{'{speaker}_{emotion}_{text}' if proposal is None else proposal}'"
        answer = dialogue.ask("pattern of the paths (Enter if this is right)", proposal, flag=flag)
        try:
            chosen = NamePattern(answer)
        except UsageError as error:
            dialogue.tell(f"  {error}")
            continue
        if guess is not None and chosen == guess:
            return settings.model_copy(update={"pattern": chosen.text})
        guess, proposal = chosen, chosen.text


def _show_pattern(dialogue: Dialogue, pattern: "NamePattern", data: "Source", column: str) -> None:
    """What a pattern reads in three paths, and how many it does not fit."""
    read = pattern.reader()
    paths = [row.get(column, "").replace("\\", "/") for _, row in data.rows]
    fitting = [path for path in paths if read(path) is not None]
    dialogue.tell(f"{pattern.text} fits {len(fitting)} of {len(paths)} paths:")
    for place in sorted({0, len(fitting) // 2, len(fitting) - 1} if fitting else ()):
        pieces = read(fitting[place]) or {}
        dialogue.tell(f"  {fitting[place]}: " + ", ".join(f"{name} {value}" for name, value in pieces.items()))


def settle_words(data: "Source", settings: "ImportSettings", dialogue: Dialogue) -> "ImportSettings":
    """The settings with what labels and words for the sexes mean, and the language."""
    from serenade.corpora.importing import cell_reader

    if settings.columns.get("file", "") not in data.header:
        return settings  # the question which column it is stays open
    read = cell_reader(data, settings)
    cells = [found for _, row in data.rows if (found := read(row)) is not None]
    labels = _settle_labels(Counter(found.get("emotion", "") for found in cells), settings, dialogue)
    genders = _settle_genders(
        Counter(found["gender"].strip() for found in cells if found.get("gender")), settings, dialogue
    )
    language = settings.language
    if language is None and dialogue.asks and not any("language" in found for found in cells):
        answer = dialogue.ask("language spoken, such as de; - for not said", "-", flag="--language de")
        language = None if answer == "-" else answer.lower()
    return settings.model_copy(update={"labels": labels, "genders": genders, "language": language})


def _settle_labels(counts: Mapping[str, int], settings: "ImportSettings", dialogue: Dialogue) -> dict[str, str]:
    """Every label word with its class; what is not certain is asked."""
    from serenade.core.labels import canonical_emotion
    from serenade.corpora.importing import DROP, propose_labels

    words = [word for word, times in counts.items() for _ in range(times)]
    given = {word: canonical_emotion(meaning) or meaning for word, meaning in settings.labels.items()}
    proposals = {word: meaning for word, meaning in propose_labels(words).items() if word not in given}
    uncertain = sorted((word for word, (_, certain) in proposals.items() if not certain), key=lambda w: -counts[w])
    if dialogue.asks and any(counts):
        dialogue.tell("Labels:")
        for word, times in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            meaning = given.get(word, proposals.get(word, ("", True))[0])
            note = "" if word not in uncertain else "   <- not known to Serenade"
            dialogue.tell(f"  {times:6} {word or '(empty)'} -> {_class_text(meaning)}{note}")
    chosen = {}
    for word in uncertain:
        question = f"label {word!r} ({_rows(counts[word])}): which class? {DROP} leaves its rows out"
        chosen[word] = dialogue.ask(question, proposals[word][0], flag=_flag("label", word, proposals[word][0]))
    return {**{word: meaning for word, (meaning, _) in proposals.items() if word}, **given, **chosen}


def require_labels_known(words: Iterable[str], data: "Source", settings: "ImportSettings") -> None:
    """Pass if every label word of the flags stands in some row.

    Raises:
        UsageError: one does not; the nearest that does is named.
    """
    from serenade.core.names import did_you_mean
    from serenade.corpora.importing import cell_reader

    if settings.columns.get("file", "") not in data.header:
        return  # the question which column it is stays open
    read = cell_reader(data, settings)
    cells = [read(row) for _, row in data.rows]
    there = {found.get("emotion", "") for found in cells if found is not None}
    for word in words:
        if word not in there:
            raise UsageError(
                f"no row has the label {word!r}",
                where=data.path,
                found=", ".join(sorted(filter(None, there))[:_SHOWN]) or "no labels",
                hint=did_you_mean(word, there),
            )


def _flag(name: str, left: str, right: str) -> str:
    """A flag as one types it, in quotes where a shell would cut it."""
    pair = f"{left}={right}"
    if re.fullmatch(r"[\w@%+=:,./-]+", pair):
        return f"--{name} {pair}"
    return f"--{name} {shlex.quote(pair)}"


def _rows(count: int) -> str:
    return counted(count, "row")


def _class_text(meaning: str) -> str:
    return {"": "no label", "-": "left out"}.get(meaning, meaning)


def _settle_genders(counts: Mapping[str, int], settings: "ImportSettings", dialogue: Dialogue) -> dict[str, str]:
    """Words for the sexes that are not known; words of one's own are allowed."""
    from serenade.corpora.name_patterns import GENDER_WORDS

    chosen = dict(settings.genders)
    for word in sorted(counts):
        if word.lower() not in GENDER_WORDS and word not in chosen:
            flag = _flag("gender", word, "female")
            chosen[word] = dialogue.ask(
                f"sex {word!r} ({_rows(counts[word])}): female, male, or another word?", word, flag=flag
            )
    return chosen
