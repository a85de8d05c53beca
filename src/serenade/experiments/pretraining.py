"""An upstream of one's own: a compact network pretrained on any speech, without labels, with a card of what it heard.

Speech comes from whole corpora and folders, and from the training part of one fold of labelled corpora, whose labels
are not looked at. What was heard is written into the folder as hashes, so that a run can refuse to test it.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from serenade.core.devices import choose_device
from serenade.core.errors import CorpusError, UsageError
from serenade.core.files import read_json, storage_errors, write_json, write_json_lines, write_text
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.core.seeding import derive_seed
from serenade.core.settings import Settings
from serenade.core.wording import counted
from serenade.corpora import CORPORA
from serenade.evaluation.splits import SplitSettings, make_split
from serenade.evaluation.unlabelled_leaks import heard_of
from serenade.experiments.data import data_fingerprint, read_corpora
from serenade.experiments.run import Watcher
from serenade.experiments.settings import CorpusSettings, ExperimentSettings, UnlabelledSettings
from serenade.experiments.unlabelled import Cuts, read_speech, without_labels
from serenade.models.upstreams.masked_mel import (
    PRETRAINING_FILE,
    LogMelPairs,
    MaskedMelSettings,
    MaskedPredictor,
    save_masked_mel,
)
from serenade.signal.audio import read_audio
from serenade.training.cache import FeatureCache
from serenade.training.checkpoints import versions
from serenade.training.mel_clusters import MelClusters, fit_clusters
from serenade.training.pretraining import Piece, PretrainingSettings, pretrain

__all__ = ["PretrainSettings", "Speech", "SpeechPieces", "pretrain_upstream", "read_pretraining_speech"]

_FITTED_PIECES = 2000  # that bands and clusters are fitted to: 2 to 3 hours of speech
_MOST_HELD_OUT = 200  # pieces that the log's figures are of
_FOLDER_FORMAT = 1


class PretrainSettings(Settings):
    """How an upstream of one's own is made, and from what."""

    network: MaskedMelSettings = MaskedMelSettings()
    training: PretrainingSettings = PretrainingSettings()
    num_clusters: int = Field(100, ge=2, description="clusters of cepstra that masked steps are told by")
    unlabelled: UnlabelledSettings = Field(
        UnlabelledSettings(piece_s=5.0), description="speech that is heard whole; piece_s holds for all speech"
    )
    corpora: tuple[CorpusSettings, ...] = Field(
        (), description="labelled corpora of which only the training part of a fold is heard"
    )
    split: SplitSettings | None = Field(None, description="the folds of these corpora")
    fold: str | None = Field(None, description="the fold whose training part is heard")
    held_out: float = Field(
        0.05, gt=0, lt=1, description="share of the speakers (of unknown ones: recordings) that tell the progress"
    )
    mixed_licences: bool = Field(
        False, description="whether corpora that may be used commercially are mixed with some that may not"
    )
    seed: int = Field(0, ge=0)
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(1, ge=1)


@dataclass(frozen=True, slots=True)
class Speech:
    """What an upstream hears.

    Args:
        training: recordings learnt from, sorted by id.
        held_out: recordings that tell the progress.
        left_out: what was not used, and why.
    """

    training: tuple[Utterance, ...]
    held_out: tuple[Utterance, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def all(self) -> tuple[Utterance, ...]:
        """Both; the network's progress is watched on the second, so it counts as heard."""
        return (*self.training, *self.held_out)


def read_pretraining_speech(settings: PretrainSettings, watcher: Watcher) -> Speech:
    """Read and check what is to be heard.

    Raises:
        CorpusError: a corpus is not there, nothing usable is left, or all is of one speaker.
        UsageError: labelled corpora without a fold, a fold that is not there, a corpus given both ways, or licences
            that must not be mixed unasked.
    """
    _check_choice(settings)
    watcher.stage("Reading speech", 0, "files")
    whole = read_speech(settings.unlabelled, lambda done, total: watcher.done(done))
    kept = {str(u.content): u for u in whole.utterances}
    part = _training_part(settings, watcher)
    for utterance in part.utterances:
        if (utterance.duration_s or 0.0) >= settings.unlabelled.shortest_s:
            kept.setdefault(str(utterance.content), utterance)
    training, held_out = _hold_out(sorted(kept.values(), key=lambda u: u.id), settings)
    return Speech(training, held_out, (*whole.left_out, *part.left_out))


def _check_choice(settings: PretrainSettings) -> None:
    if not settings.unlabelled.corpora and not settings.corpora:
        raise UsageError(
            "there is nothing to learn from",
            hint="Say --unlabelled NAME=PATH, such as librispeech=/data/LibriSpeech/train-clean-100, or "
            "unlabelled=FOLDER for any folder of speech",
        )
    if settings.corpora and (settings.split is None or settings.fold is None):
        raise UsageError(
            "of a labelled corpus only the training part of a fold may be heard, and no fold is named",
            hint="Say --split and --fold, or give the corpus with --unlabelled to have all of it heard; then no one in "
            "it can be tested any more",
        )
    if not settings.corpora and (settings.split is not None or settings.fold is not None):
        raise UsageError(
            "a split and a fold are of labelled corpora, and none is given",
            hint="Say --corpus NAME=PATH; what --unlabelled names is heard whole",
        )
    twice = {c.name for c in settings.corpora} & {c.name for c in settings.unlabelled.corpora}
    if twice:
        raise UsageError(
            "a corpus is given twice, whole and as the training part of a fold, so its tested speakers would be heard",
            found=", ".join(sorted(twice)),
            hint="Give it once",
        )
    corpora = [CORPORA.resolve(corpus.name) for corpus in (*settings.corpora, *settings.unlabelled.corpora)]
    bound = sorted({corpus.title for corpus in corpora if corpus.commercial_use is False})
    free = sorted({corpus.title for corpus in corpora if corpus.commercial_use is not False})
    if bound and free and not settings.mixed_licences:
        raise UsageError(
            "these corpora together make a model that is not for commercial use, though some of them alone would not",
            found=f"not for commercial use: {', '.join(bound)}; others: {', '.join(free)}",
            hint="Say --mixed-licences if that is what you want",
        )


def _training_part(settings: PretrainSettings, watcher: Watcher) -> Listing:
    """Utterances of the training part of the fold, without labels."""
    if not settings.corpora or settings.split is None:
        return Listing(())
    watcher.stage("Reading labelled corpora", 0, "files")
    data = ExperimentSettings(corpora=settings.corpora, split=settings.split)
    listing = read_corpora(data, lambda done, total: watcher.done(done))
    folds = {fold.name: fold for fold in make_split(listing.utterances, settings.split).folds}
    if settings.fold not in folds:
        raise UsageError("the split has no such fold", found=settings.fold, expected=f"one of {', '.join(folds)}")
    wanted = set(folds[str(settings.fold)].train)
    several = len(settings.corpora) > 1  # then ids carry the corpus's name already
    heard = [
        without_labels(u, f"unlabelled/{u.id}" if several else f"unlabelled/{u.corpus}/{u.id}")
        for u in listing.utterances
        if u.id in wanted
    ]
    return Listing(tuple(heard), listing.left_out)


def _hold_out(
    utterances: Sequence[Utterance], settings: PretrainSettings
) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Drawn speakers for the log, the others for training."""
    people = sorted({_person(u) for u in utterances})
    if len(people) < 2:
        raise CorpusError(
            "pretraining needs speech of two speakers at least, or two recordings where nobody knows who speaks",
            found=f"{counted(len(utterances), 'recording')} of {len(people)}",
            hint="One part is held out to tell the progress; give more speech",
        )
    generator = torch.Generator().manual_seed(derive_seed(settings.seed, "held-out speakers"))
    count = min(len(people) - 1, max(1, round(settings.held_out * len(people))))
    drawn = {people[place] for place in torch.randperm(len(people), generator=generator)[:count].tolist()}
    training = tuple(u for u in utterances if _person(u) not in drawn)
    return training, tuple(u for u in utterances if _person(u) in drawn)


def _person(utterance: Utterance) -> str:
    known = utterance.speaker != UNKNOWN_SPEAKER
    return f"{utterance.corpus}|{utterance.speaker if known else utterance.content}"


class SpeechPieces(Cuts):
    """Recordings as pieces of log-mel with their clusters, from the cache, or from the recording, when asked for.

    Args:
        utterances: examined ones.
        piece_s: longest piece.
        num_bands: of log-mel.
        cache: keeps the log-mel, in half precision.
    """

    def __init__(self, utterances: Iterable[Utterance], piece_s: float, num_bands: int, cache: FeatureCache) -> None:
        super().__init__(utterances, piece_s)
        self._mels, self._num_bands, self._cache = LogMelPairs(num_bands), num_bands, cache
        self.clusters: MelClusters | None = None

    def __getitem__(self, index: int) -> Piece:
        """A piece.

        Raises:
            AudioError: the recording cannot be read any more.
        """
        assert self.clusters is not None, "clusters are fitted before pieces are asked for"
        mels = self.mels(index)
        return Piece(mels, self.clusters(mels))

    def mels(self, index: int) -> Tensor:
        """(L, 2 F) log-mel steps of a piece, float32.

        Raises:
            AudioError: the recording cannot be read any more.
        """
        piece = self.piece(index)
        found = self._cache.get(f"{piece.content}|log-mel pairs {self._num_bands}", lambda: self._extract(piece))
        return found["mels"].float()

    def _extract(self, piece: Utterance) -> dict[str, Tensor]:
        waveform = read_audio(piece.audio, start_s=piece.start_s, end_s=piece.end_s)
        return {"mels": self._mels(waveform[None])[0].half()}


def pretrain_upstream(settings: PretrainSettings, speech: Speech, out: Path, *, watcher: Watcher) -> None:
    """Pretrain an upstream and write its folder; an interrupted pretraining is taken up, a finished one is kept.

    Args:
        settings: of the network and the training.
        speech: from `read_pretraining_speech` with the same settings.
        out: the folder.
        watcher: is told how it goes.

    Raises:
        TrainingError: there is too little speech, or the loss is no finite number.
        UsageError: `out` holds something else.
    """
    key = _key(settings, speech)
    if _is_done(out, key):
        watcher.warn(f"{out} is finished already; nothing is done")
        return
    torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    cache = FeatureCache()
    piece_s, num_bands = settings.unlabelled.piece_s, settings.network.num_bands
    training = SpeechPieces(speech.training, piece_s, num_bands, cache)
    watcher.stage("Extracting log-mel and clusters", len(training), "pieces")
    bands, training.clusters = _fit(training, settings, key, cache, watcher)
    held_out = SpeechPieces(speech.held_out, piece_s, num_bands, cache)
    held_out.clusters = training.clusters
    judged = [held_out[place] for place in _spread(len(held_out), _MOST_HELD_OUT)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(settings.seed, "weights"))
        network = MaskedPredictor(settings.network, settings.num_clusters)
    network.encoder.mean.copy_(bands["mean"])
    network.encoder.deviation.copy_(bands["deviation"])
    watcher.stage("Pretraining", settings.training.steps, "steps")
    log = pretrain(
        network,
        training,
        judged,
        settings.training,
        seed=settings.seed,
        device=device,
        folder=_state_folder(out),
        key=key,
        reported=lambda done, entry: watcher.done(done, _detail(entry)),
    )
    save_masked_mel(out, network.encoder, settings.network)
    about = _about(settings, speech, key, log)
    write_json_lines(out / "log.jsonl", log)
    write_text(out / "card.md", _card(about))
    write_json(out / PRETRAINING_FILE, about)  # last: it says that the folder is finished
    with storage_errors(_state_folder(out)):
        shutil.rmtree(_state_folder(out))  # beside the state may lie the part of one whose writing was killed


def _state_folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.training")


def _key(settings: PretrainSettings, speech: Speech) -> str:
    """Names a pretraining: what its weights depend on."""
    values = settings.model_dump(mode="json", include={"network", "training", "num_clusters", "seed"})
    parts = [
        json.dumps(values, sort_keys=True),
        str(settings.unlabelled.piece_s),
        data_fingerprint(speech.training),
        data_fingerprint(speech.held_out),
    ]
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def _is_done(out: Path, key: str) -> bool:
    """Whether the folder holds this very upstream; anything else in it is refused."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    path = out / PRETRAINING_FILE
    try:
        about = read_json(path)
        known = about["key"]
    except (OSError, ValueError, KeyError, TypeError):
        # weights that were written, but not yet the file that comes last
        left = _state_folder(out).exists() and (out / "config.json").exists()
        if left:
            return False
        raise UsageError(
            "the folder is there and is no upstream of `serenade pretrain`", where=out, hint="Give another with --out"
        ) from None
    if known != key:
        raise UsageError(
            "the folder holds an upstream that was pretrained on other speech or with other settings",
            where=out,
            hint="Give another one with --out, or remove it",
        )
    return True


def _fit(
    pieces: SpeechPieces, settings: PretrainSettings, key: str, cache: FeatureCache, watcher: Watcher
) -> tuple[dict[str, Tensor], MelClusters]:
    """Mean and deviation of each band, and the clusters, from pieces that are spread over all recordings."""
    names = ("band_mean", "band_deviation", "mean", "deviation", "centres")

    def compute() -> dict[str, Tensor]:
        sample = []
        for count, place in enumerate(_spread(len(pieces), _FITTED_PIECES), start=1):
            sample.append(pieces.mels(place))
            watcher.done(count)
        frames = torch.cat(sample).reshape(-1, settings.network.num_bands)
        seed = derive_seed(settings.seed, "clusters")
        clusters = fit_clusters(sample, settings.network.num_bands, settings.num_clusters, seed=seed)
        deviation = frames.std(dim=0).clamp_min(1e-3)
        values = (frames.mean(dim=0), deviation, clusters.mean, clusters.deviation, clusters.centres)
        return dict(zip(names, values, strict=True))

    found = cache.get(f"bands and clusters|{key}", compute)
    clusters = MelClusters({name: found[name] for name in names[2:]}, settings.network.num_bands)
    return {"mean": found["band_mean"], "deviation": found["band_deviation"]}, clusters


def _spread(count: int, most: int) -> list[int]:
    """At most so many places, evenly spread."""
    return list(range(count)) if count <= most else [place * count // most for place in range(most)]


def _detail(entry: Mapping[str, Any]) -> str:
    if not entry:
        return ""
    held_out = entry["held_out"]
    speed = entry["frames"] / 50 / entry["seconds"]
    return f"loss {held_out['loss']:.3f}, {held_out['accuracy']:.1%} right, {speed:.0f} x real time"


def _about(settings: PretrainSettings, speech: Speech, key: str, log: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the folder says of its making."""
    return {
        "format": _FOLDER_FORMAT,
        "key": key,
        "corpora": [_corpus_of(name, speech.all) for name in sorted({u.corpus for u in speech.all})],
        "part": None if settings.split is None else {"split": settings.split.kind, "fold": settings.fold},
        "settings": settings.model_dump(
            mode="json", include={"network", "training", "num_clusters", "held_out", "seed"}, exclude_none=True
        ),
        "result": log[-1],
        "hours": {
            "wall": sum(entry["seconds"] for entry in log) / 3600,
            "processor": sum(entry["cpu_seconds"] for entry in log) / 3600,
            "speech": sum(entry["frames"] for entry in log) / 50 / 3600,
        },
        "versions": versions(),
        "heard": heard_of(speech.all).to_json(),
    }


def _corpus_of(name: str, utterances: Sequence[Utterance]) -> dict[str, Any]:
    own = [u for u in utterances if u.corpus == name]
    corpus = CORPORA.resolve(name) if name in CORPORA else None
    return {
        "name": name,
        "title": name if corpus is None else corpus.title,
        "licence": "not known" if corpus is None else corpus.licence,
        "commercial_use": None if corpus is None else corpus.commercial_use,
        "recordings": len(own),
        "speakers": len({u.speaker for u in own} - {UNKNOWN_SPEAKER}),
        "minutes": sum(u.duration_s or 0.0 for u in own) / 60,
    }


def _card(about: Mapping[str, Any]) -> str:
    """Markdown."""
    held_out, hours = about["result"]["held_out"], about["hours"]
    part = about["part"]
    heard = about["heard"]
    lines = [
        "# An upstream pretrained without labels",
        "",
        f"Masked prediction, {about['result']['step']} steps, {hours['speech']:.1f} hours of speech seen (with "
        f"repetitions) in {hours['processor']:.2f} hours of processor time.",
        "",
        "## Speech it has heard",
        "",
        *(_corpus_line(corpus) for corpus in about["corpora"]),
        "",
        *(
            []
            if part is None
            else [
                f"Of labelled corpora only the training part of fold {part['fold']} of the split {part['split']}.",
                "",
            ]
        ),
        f"`{PRETRAINING_FILE}` names {counted(len(heard['speakers']), 'speaker')} and "
        f"{counted(len(heard['recordings']), 'recording')} by hashes. They must not be tested with this upstream.",
        *(
            [
                f"Of {counted(heard['unknown'], 'recording')} the speaker is not known: make sure that no tested "
                "person is in them."
            ]
            if heard["unknown"]
            else []
        ),
        "",
        _use(about["corpora"]),
        "",
        "## On speakers held out",
        "",
        f"{held_out['accuracy']:.1%} of masked steps are given the right one of {about['settings']['num_clusters']} "
        f"clusters (always the most frequent: {held_out['majority']:.1%}); cross-entropy {held_out['clusters']:.2f} "
        f"nats (chance {held_out['chance']:.2f}); error of log-mel {held_out['mels']:.2f} standard deviations.",
        "",
    ]
    return "\n".join(lines)


def _corpus_line(corpus: Mapping[str, Any]) -> str:
    use = {True: "commercial use permitted", False: "NOT for commercial use", None: "see its owner's terms"}
    speakers = counted(corpus["speakers"], "known speaker") if corpus["speakers"] else "speakers not known"
    return (
        f"* {corpus['title']}: {counted(corpus['recordings'], 'recording')}, {speakers}, "
        f"{corpus['minutes']:.1f} minutes. {corpus['licence']} ({use[corpus['commercial_use']]})."
    )


def _use(corpora: Sequence[Mapping[str, Any]]) -> str:
    bound = [corpus["title"] for corpus in corpora if corpus["commercial_use"] is False]
    unknown = [corpus["title"] for corpus in corpora if corpus["commercial_use"] is None]
    if bound:
        return f"These weights are NOT for commercial use, because of {', '.join(bound)}."
    if unknown:
        return f"Whether these weights may be used commercially, the owner of {', '.join(unknown)} must say."
    return "All of this speech may be used commercially."
