"""The data of a run: corpora read and checked, features extracted once, utterances as examples."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from serenade.core.errors import CorpusError
from serenade.core.label_maps import parse_label_map
from serenade.core.labels import LabelSet, emotions_of
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.core.wording import counted
from serenade.corpora import Selection, read_corpus
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.signal.audio import examine, read_audio
from serenade.systems import PRESETS, SYSTEMS
from serenade.training.cache import FeatureCache
from serenade.training.fusion_system import UtteranceSystem
from serenade.training.system import Example, GatheringSystem, System

__all__ = ["ProgressCallback", "data_fingerprint", "gather_examples", "make_examples", "read_corpora"]

ProgressCallback = Callable[[int, int], None]


def read_corpora(settings: ExperimentSettings, progress: ProgressCallback | None = None) -> Listing:
    """All corpora of a run as one listing; with several, ids and speakers carry the corpus's name.

    Utterances without usable sound are left out, unless the system also looks at pictures or words and they have some.

    Raises:
        CorpusError: a corpus is not there, or nothing usable is left.
        UsageError: the label map or a condition does not fit the data.
    """
    corpora = settings.corpora
    wanted = LabelSet.parse(settings.labels) if settings.labels is not None else None
    label_map = parse_label_map(settings.label_map) if settings.label_map is not None else None
    selection = Selection(wanted, label_map, settings.where)
    listings = [
        read_corpus(
            corpus.name,
            corpus.root,
            examine=examine,
            selection=selection,
            progress=progress,
            soundless=_looks_beyond_sound(settings.preset),
        )
        for corpus in corpora
    ]
    if len(listings) > 1:
        listings = [_with_corpus_names(listing) for listing in listings]
    utterances = sorted((u for listing in listings for u in listing.utterances), key=lambda u: u.id)
    labelled = [u for u in utterances if _is_labelled(u, settings)]
    unlabelled = tuple(LeftOut(u.id, "no label") for u in utterances if not _is_labelled(u, settings))
    left_out = tuple(item for listing in listings for item in listing.left_out) + unlabelled
    present = emotions_of(labelled)
    _require_classes(wanted, present, corpora)
    if len(present) < 2:
        raise CorpusError(
            "there is nothing to train on",
            where=", ".join(str(corpus.root) for corpus in corpora),
            found=f"{counted(len(labelled), 'labelled utterance')} of {len(present)} classes, {len(left_out)} left out",
            hint="Run `serenade corpus check` on it to see why",
        )
    return Listing(tuple(labelled), left_out)


def _looks_beyond_sound(preset: str) -> bool:
    """Whether the system of a preset is an `UtteranceSystem`."""
    return preset in PRESETS and hasattr(SYSTEMS.resolve(PRESETS[preset]), "extract_utterance")


def _is_labelled(utterance: Utterance, settings: ExperimentSettings) -> bool:
    """Whether it has a class, or the system learns several emotions and the corpus says which, even if it is none."""
    fusion = settings.system.get("fusion")  # of other systems the word means something else
    several = isinstance(fusion, Mapping) and fusion.get("answers") == "several"
    return utterance.emotion is not None or (several and "labels" in utterance.extra)


def _require_classes(wanted: LabelSet | None, present: set[str], corpora: Sequence[CorpusSettings]) -> None:
    absent = [name for name in wanted.names if name not in present] if wanted is not None else []
    if absent:
        raise CorpusError(
            f"no utterance has the class {absent[0]!r}",
            where=", ".join(str(corpus.root) for corpus in corpora),
            expected=f"some of {', '.join(sorted(present))}" if present else None,
            hint="`serenade corpus stats` shows the classes of a corpus",
        )


def _with_corpus_names(listing: Listing) -> Listing:
    renamed = tuple(
        u.with_(
            id=f"{u.corpus}/{u.id}",
            speaker=u.speaker if u.speaker == UNKNOWN_SPEAKER else f"{u.corpus}/{u.speaker}",
            group=None if u.group is None else f"{u.corpus}/{u.group}",
            dialogue=None if u.dialogue is None else f"{u.corpus}/{u.dialogue}",
            sentence=None if u.sentence is None else f"{u.corpus}/{u.sentence}",
        )
        for u in listing.utterances
    )
    return Listing(renamed, listing.left_out)


def data_fingerprint(utterances: Iterable[Utterance]) -> str:
    """A hash that changes when an utterance, its sound, its class or its speaker changes."""
    digest = hashlib.sha256()
    for u in utterances:
        digest.update(f"{u.id}\t{u.content}\t{u.emotion}\t{u.speaker}\n".encode())
    return digest.hexdigest()[:32]


def make_examples(
    utterances: Iterable[Utterance],
    system: System,
    cache: FeatureCache,
    *,
    training: bool,
    progress: Callable[[], None] | None = None,
) -> list[Example]:
    """Utterances with their network inputs, from the cache where they were extracted before.

    Utterances that give no segment (``segments.short = "drop"``) are left out; the caller counts them.

    Raises:
        AudioError: a recording cannot be read any more.
        UsageError: the system reads transcripts, and an utterance has none.
    """
    if isinstance(system, GatheringSystem):
        return gather_examples(list(utterances), system, progress)
    examples = []
    for utterance in utterances:
        key = f"{utterance.content}|{system.cache_key(training=training)}{_beside_the_sound(utterance, system)}"
        inputs = cache.get(key, lambda u=utterance: _extract(u, system, training))  # type: ignore[misc] # bound now
        target = None if utterance.emotion is None else system.labels.index(utterance.emotion)
        if inputs and all(len(tensor) for tensor in inputs.values()):
            examples.append(Example(utterance, inputs, target))
        if progress is not None:
            progress()
    return examples


def gather_examples(
    utterances: Sequence[Utterance], system: GatheringSystem, progress: Callable[[], None] | None = None
) -> list[Example]:
    """As `make_examples`, of a system that gets the inputs of all utterances together."""
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        for _ in range(done - told if progress is not None else 0):
            progress()  # type: ignore[misc] # not None here
        told = done

    inputs = system.gather(utterances, tell)
    targets = [None if u.emotion is None else system.labels.index(u.emotion) for u in utterances]
    return [Example(*each) for each in zip(utterances, inputs, targets, strict=True)]


def _beside_the_sound(utterance: Utterance, system: System) -> str:
    """Names what else of an utterance a system looks at; empty where there is nothing."""
    if not isinstance(system, UtteranceSystem):
        return ""
    return "|" + hashlib.sha256(system.utterance_key(utterance).encode()).hexdigest()


def _extract(utterance: Utterance, system: System, training: bool) -> dict[str, Tensor]:
    if isinstance(system, UtteranceSystem):
        return system.extract_utterance(utterance)
    waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
    return dict(system.extract(waveform, training=training))
