"""Everything that a page or a script shows of a measured corpus, as plain values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from serenade import __version__
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.core.wording import counted
from serenade.corpora import CORPORA
from serenade.corpora.layout import shown_place
from serenade.corpora.statistics import NO_LABEL, CorpusStatistics, count_utterances
from serenade.corpora.validation import DAMAGE
from serenade.evaluation.cues import cue_score
from serenade.evaluation.giveaway import speaker_majority
from serenade.experiments.corpus_findings import CRITERIA, flag
from serenade.experiments.corpus_quality import MeasuredCorpus

__all__ = ["CORPUS_SUMMARY_FORMAT", "summarise_corpus"]

CORPUS_SUMMARY_FORMAT = 1

_CUES = (
    ("level_db", "level"),
    ("duration_s", "length"),
    ("snr_db", "signal-to-noise ratio"),
    ("bandwidth_hz", "bandwidth"),
    ("silent_share", "share of silence"),
    ("leading_silence_s", "silence before the speech"),
    ("sample_rate", "sample rate"),
)
_FEW = 10  # utterances of a class below which nothing can be learnt or measured
_UNBALANCED = 4.0  # most over fewest


def summarise_corpus(corpus: MeasuredCorpus) -> dict[str, Any]:
    """What is in a corpus and how good it is.

    Returns:
        Plain values for JSON. ``findings`` are sentences with a severity ("error", "warning", "note"), the worst
        first; ``criteria`` name the recordings that fail each; ``utterances`` hold the figures of every one.

    Raises:
        ValueError: the corpus has no usable utterance.
    """
    utterances = corpus.listing.utterances
    statistics = count_utterances(utterances)
    about = CORPORA.resolve(corpus.name)
    summary: dict[str, Any] = {
        "format": CORPUS_SUMMARY_FORMAT,
        "serenade": __version__,
        "corpus": {"name": corpus.name, "title": about.title, "licence": about.licence, "path": str(corpus.root)},
        "statistics": statistics.to_json(),
        "sexes": _shares(utterances, [utterance.gender for utterance in utterances]),
        "languages": _shares(utterances, [utterance.language for utterance in utterances]),
        "formats": _formats(corpus),
        "criteria": _criteria(corpus),
        "cues": _cues(corpus),
        "majority": _majority(utterances),
        "left_out": [{**asdict(item), "damage": item.reason in DAMAGE} for item in corpus.listing.left_out],
        "utterances": [_row(corpus, utterance) for utterance in utterances],
    }
    summary["findings"] = _findings(summary, statistics, utterances)
    return summary


def _row(corpus: MeasuredCorpus, utterance: Utterance) -> dict[str, Any]:
    """An utterance with its figures."""
    names = ("id", "speaker", "gender", "emotion", "language")
    known = {name: getattr(utterance, name) for name in names}
    return {**known, "place": shown_place(utterance, corpus.root), **corpus.quality[utterance.id].to_json()}


def _shares(utterances: Sequence[Utterance], values: Sequence[str | None]) -> list[dict[str, Any]]:
    """Utterances, speakers and minutes of every value, the most frequent first."""
    found = []
    for value, count in Counter(values).items():
        those = [utterance for utterance, own in zip(utterances, values, strict=True) if own == value]
        minutes = sum(utterance.duration_s or 0.0 for utterance in those) / 60
        speakers = len({utterance.speaker for utterance in those})
        found.append({"name": value, "utterances": count, "speakers": speakers, "minutes": minutes})
    return sorted(found, key=lambda entry: (-entry["utterances"], str(entry["name"])))


def _formats(corpus: MeasuredCorpus) -> list[dict[str, int]]:
    counts = Counter((quality.sample_rate, quality.channels) for quality in corpus.quality.values())
    return [
        {"sample_rate": rate, "channels": channels, "utterances": count}
        for (rate, channels), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _criteria(corpus: MeasuredCorpus) -> list[dict[str, Any]]:
    flagged = flag(corpus.listing.utterances, corpus.quality)
    total = len(corpus.listing.utterances)
    return [
        {
            "name": criterion.name,
            "title": criterion.title,
            "threshold": criterion.threshold,
            "advice": criterion.advice,
            "count": len(flagged[criterion.name]),
            "share": len(flagged[criterion.name]) / total,
            "worst": [
                {
                    "id": utterance.id,
                    "place": shown_place(utterance, corpus.root),
                    "speaker": utterance.speaker,
                    "emotion": utterance.emotion,
                    "found": words,
                }
                for utterance, words in flagged[criterion.name]
            ],
        }
        for criterion in CRITERIA
    ]


def _cues(corpus: MeasuredCorpus) -> list[dict[str, Any]]:
    """What single figures tell of the class; the most telling first."""
    labelled = [utterance for utterance in corpus.listing.utterances if utterance.emotion is not None]
    labels, speakers = [str(u.emotion) for u in labelled], [u.speaker for u in labelled]
    found = []
    for name, title in _CUES:
        values = [getattr(corpus.quality[utterance.id], name) for utterance in labelled]
        score = cue_score([-1.0 if value is None else float(value) for value in values], labels, speakers)
        if score is not None:
            entry = {**asdict(score), "classes": list(score.classes), "strength": score.strength}
            found.append({"name": name, "title": title, **entry})
    return sorted(found, key=lambda cue: (not cue["classes"], cue["ua_by_chance"] - cue["ua"]))


def _majority(utterances: Sequence[Utterance]) -> dict[str, Any]:
    majority = speaker_majority(utterances)
    return {**asdict(majority), "gives_label": majority.gives_label}


def _findings(
    summary: dict[str, Any], statistics: CorpusStatistics, utterances: Sequence[Utterance]
) -> list[dict[str, str]]:
    """Sentences, the worst first."""
    found = [*_faults(summary), *_balance(statistics, utterances), *_giveaways(summary)]
    order = ("error", "warning", "note")
    return [
        {"severity": severity, "message": message}
        for severity, message in sorted(found, key=lambda item: order.index(item[0]))
    ]


def _faults(summary: dict[str, Any]) -> list[tuple[str, str]]:
    damaged = Counter(item["reason"] for item in summary["left_out"] if item["damage"])
    found = []
    if damaged:
        reasons = ", ".join(f"{count} {reason}" for reason, count in damaged.most_common())
        found.append(("error", f"{counted(damaged.total(), 'recording')} cannot be used: {reasons}"))
    found += [
        ("warning", f"{entry['title'].lower()}: {counted(entry['count'], 'recording')} ({entry['threshold']})")
        for entry in summary["criteria"]
        if entry["count"]
    ]
    return found


def _balance(statistics: CorpusStatistics, utterances: Sequence[Utterance]) -> list[tuple[str, str]]:
    found = []
    classes = Counter(utterance.emotion for utterance in utterances if utterance.emotion is not None)
    unlabelled = len(utterances) - classes.total()
    unknown = sum(utterance.speaker == UNKNOWN_SPEAKER for utterance in utterances)
    if unknown:
        found.append(("warning", f"{unknown} without a speaker: no split can keep people apart"))
    elif len(statistics.speakers) == 1:
        found.append(("warning", "one speaker only: nothing can be said about new voices"))
    if unlabelled:
        found.append(("note", f"{unlabelled} without a label"))
    if len(classes) == 1:
        found.append(("warning", f"one class only, {next(iter(classes))}: there is nothing to tell apart"))
    few = [f"{name} ({count})" for name, count in sorted(classes.items()) if count < _FEW]
    if few:
        found.append(("warning", f"classes with fewer than {_FEW} utterances: {', '.join(few)}"))
    if len(classes) > 1 and max(classes.values()) > _UNBALANCED * min(classes.values()):
        (most, many), *_, (least, rare) = classes.most_common()
        found.append(
            ("note", f"classes are not balanced: {many} {most}, {rare} {least}; read UA or macro F1 rather than WA")
        )
    found += _holes(statistics)
    return found


def _holes(statistics: CorpusStatistics) -> list[tuple[str, str]]:
    """Speakers that lack classes; classes are then mixed up with voices."""
    classes = [name for name in statistics.classes if name != NO_LABEL]
    spoken = {(count.speaker, count.emotion) for count in statistics.counts}
    lacking = [speaker for speaker in statistics.speakers if any((speaker, name) not in spoken for name in classes)]
    if not lacking or len(statistics.speakers) < 2:
        return []
    return [("note", f"{len(lacking)} of {len(statistics.speakers)} speakers do not have every class")]


def _giveaways(summary: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    majority = summary["majority"]
    if majority["gives_label"]:
        found.append(
            (
                "warning",
                f"the speaker gives the class away: each speaker's most frequent class alone scores UA "
                f"{majority['ua']:.1%} ({majority['ua_by_chance']:.1%} by chance)",
            )
        )
    for cue in summary["cues"]:
        if cue["strength"] != "tells little":
            severity = "warning" if cue["strength"].startswith("gives") else "note"
            found.append((severity, f"the {cue['title']} alone {_what_it_tells(cue)}"))
    return found


def _what_it_tells(cue: dict[str, Any]) -> str:
    if cue["classes"]:
        return f"tells {' and '.join(cue['classes'])} from all other classes on speakers not seen"
    told = "gives the class away" if cue["strength"].startswith("gives") else "tells something of the class"
    return f"{told}: it scores UA {cue['ua']:.1%} ({cue['ua_by_chance']:.1%} by chance) on speakers not seen"
