"""Unlabelled speech from the folder to the run: what is left out, the pieces, hours, leaks, refusals."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.experiments.test_run import Quiet

from serenade.core.errors import CorpusError, LeakError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.corpora.synthetic import generate
from serenade.evaluation.splits import make_split
from serenade.evaluation.unlabelled_leaks import check_unlabelled
from serenade.experiments.card import model_card
from serenade.experiments.final import train_final
from serenade.experiments.near_duplicates import find_copies
from serenade.experiments.run import prepare, run_experiment
from serenade.experiments.settings import CorpusSettings, ExperimentSettings, UnlabelledSettings
from serenade.experiments.summary import summarise
from serenade.experiments.unlabelled import Pieces, describe_unlabelled, read_unlabelled
from serenade.reports.page import write_report
from serenade.signal.audio import read_audio
from serenade.systems import PRESETS, make_system, system_settings
from serenade.systems.ss_aae import SsAaeSystem
from serenade.training import loop
from serenade.training.cache import FeatureCache
from serenade.training.checkpoints import read_checkpoint
from serenade.training.system import Example

RATE = 16000
LENGTHS_S = {"a/1": 2.0, "a/2": 17.5, "b/3": 7.68, "b/4": 7.7, "c/5": 0.3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five recordings of noise, one of them tiny, one that is none, one silent, one twice."""
    root = tmp_path_factory.mktemp("speech")
    generator = np.random.default_rng(1)
    for name, length_s in LENGTHS_S.items():
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(root / f"{name}.wav", 0.1 * generator.standard_normal(round(length_s * RATE)), RATE)
    (root / "c" / "6.wav").write_bytes(b"this is no sound at all")
    soundfile.write(root / "c" / "7.wav", np.zeros(2 * RATE), RATE)
    (root / "c" / "8.wav").write_bytes((root / "a" / "1.wav").read_bytes())
    return root


def settings_of(*corpora: tuple[str, Path], labelled: Path = Path("none"), **unlabelled: object) -> ExperimentSettings:
    return ExperimentSettings(
        corpora=(CorpusSettings(name="synthetic", root=labelled),),
        unlabelled=UnlabelledSettings.model_validate(
            {"corpora": [CorpusSettings(name=name, root=root) for name, root in corpora], **unlabelled}
        ),
    )


def test_what_is_broken_tiny_silent_or_there_twice_is_left_out_and_listed(folder: Path) -> None:
    listing = read_unlabelled(settings_of(("unlabelled", folder)))
    assert [u.id for u in listing.utterances] == [f"unlabelled/unlabelled/{name}.wav" for name in sorted(LENGTHS_S)[:4]]
    assert {item.where: item.reason for item in listing.left_out} == {
        "c/5.wav": "too short",
        "c/6.wav": "undecodable",
        "c/7.wav": "silent",
        "c/8.wav": "duplicate",
    }
    assert all(u.emotion is None for u in listing.utterances)


def test_any_corpus_is_unlabelled_speech_without_its_labels(tmp_path: Path, folder: Path) -> None:
    generate(tmp_path / "voices", speakers=2, utterances_per_class=1, classes=("angry", "sad"))
    listing = read_unlabelled(settings_of(("unlabelled", folder), ("synthetic", tmp_path / "voices"), shortest_s=0.1))
    told = [u for u in listing.utterances if u.corpus == "synthetic"]
    assert len(told) == 4
    assert all((u.emotion, u.text, dict(u.extra)) == (None, None, {}) for u in told)
    assert {u.gender for u in told} <= {"female", "male"}
    assert describe_unlabelled(listing.utterances)["corpora"] == ["synthetic", "unlabelled"]  # type: ignore[index]


def test_the_same_folder_twice_counts_once(folder: Path) -> None:
    once = read_unlabelled(settings_of(("unlabelled", folder)))
    twice = read_unlabelled(settings_of(("unlabelled", folder), ("unlabelled", folder)))
    assert twice.utterances == once.utterances
    assert len(twice.left_out) == len(once.left_out) * 2 + len(once.utterances)


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"no unlabelled speech.*5 too short.*shortest_s"):
        read_unlabelled(settings_of(("unlabelled", folder), shortest_s=60.0))


def test_hours_are_drawn_always_the_same(folder: Path) -> None:
    whole = read_unlabelled(settings_of(("unlabelled", folder))).utterances
    some = read_unlabelled(settings_of(("unlabelled", folder), hours=9 / 3600)).utterances
    assert some == read_unlabelled(settings_of(("unlabelled", folder), hours=9 / 3600)).utterances
    assert {u.id for u in some} < {u.id for u in whole}
    assert sum(u.duration_s or 0 for u in some) >= 9
    with pytest.raises(UsageError, match=r"fewer hours.*0\.01 hours.*at least 2"):
        read_unlabelled(settings_of(("unlabelled", folder), hours=2))


def test_pieces_are_the_recordings_cut_evenly_and_cached(folder: Path, tmp_path: Path) -> None:
    utterances = read_unlabelled(settings_of(("unlabelled", folder))).utterances
    system = make_system(PRESETS["baseline"], system_settings("baseline", {}).model_dump(), LabelSet(("a", "b")))
    pieces = Pieces(utterances, system, FeatureCache(tmp_path / "cache"), 7.68)
    cut = [pieces.piece(place) for place in range(len(pieces))]
    assert [u.id.rpartition("/")[2] for u in cut] == [
        "1.wav",
        "2.wav#1",
        "2.wav#2",
        "2.wav#3",
        "3.wav",
        "4.wav#1",
        "4.wav#2",
    ]
    for utterance in utterances:
        parts = [p for p in cut if p.audio == utterance.audio]
        sound = torch.cat([read_audio(p.audio, start_s=p.start_s, end_s=p.end_s) for p in parts])
        whole = read_audio(utterance.audio)
        assert abs(len(sound) - len(whole)) <= len(parts)
        assert max(float(p.duration_s or 0) for p in parts) <= 7.68
    first = [pieces[place].inputs["audio"] for place in range(len(pieces))]
    expected = system.extract(read_audio(cut[1].audio, start_s=cut[1].start_s, end_s=cut[1].end_s), training=True)
    torch.testing.assert_close(first[1], expected["audio"])
    system.extract = None  # type: ignore[assignment,method-assign] # everything comes from the cache now
    again = [pieces[place].inputs["audio"] for place in range(len(pieces))]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(IndexError, match="piece 7 of 7"):
        pieces.piece(7)


# ------------------------------------------------------------------------------------------------ leaks


def people(corpus: str, *speakers: str) -> list[Utterance]:
    emotions = ("angry", "sad")
    return [
        Utterance(
            f"{speaker}-{n}",
            Path(f"{corpus}/{speaker}-{n}.wav"),
            corpus,
            speaker,
            emotions[n],
            content=f"{corpus}{speaker}{n}",
        )
        for speaker in speakers
        for n in range(2)
    ]


def test_a_tested_voice_in_the_unlabelled_speech_is_an_error() -> None:
    labelled = people("emodb", "03", "08", "09", "10")
    split = make_split(labelled, ExperimentSettings(corpora=(CorpusSettings(name="emodb", root=Path()),)).split)
    others = [u.with_(id=f"unlabelled/{u.id}", emotion=None) for u in people("librispeech", "03", "8")]
    assert check_unlabelled(split, labelled, others) == ()  # reader 03 is another person than actor 03
    same = [u.with_(id="unlabelled/x", content="other", emotion=None) for u in labelled[:1]]
    findings = check_unlabelled(split, labelled, [*others, *same])
    assert [(f.kind, f.severity, f.parts) for f in findings] == [
        ("speaker", "error", ("unlabelled", "test")),
        ("speaker", "warning", ("unlabelled", "validation")),
    ]
    assert [(o.name, o.counts) for o in findings[0].offenders] == [("emodb/03", {"unlabelled": 1, "test": 2})]
    assert "unlabelled and test share 1 speaker in 1 of 4 folds: emodb/03" in findings[0].message
    named = [u.with_(id=f"emodb/{u.id}", speaker=f"emodb/{u.speaker}") for u in labelled]  # as with several corpora
    split = make_split(named, ExperimentSettings(corpora=(CorpusSettings(name="emodb", root=Path()),)).split)
    assert check_unlabelled(split, named, same)[0].offenders[0].name == "emodb/03"


def test_a_tested_recording_or_take_in_the_unlabelled_speech_is_an_error_and_a_stranger_a_warning(
    tmp_path: Path,
) -> None:
    generate(tmp_path / "voices", speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    labelled = read_unlabelled(settings_of(("synthetic", tmp_path / "voices"))).utterances
    labelled = tuple(
        u.with_(id=u.id.rpartition("/")[2], emotion="sad" if n % 2 else "angry") for n, u in enumerate(labelled)
    )
    split = make_split(labelled, ExperimentSettings(corpora=(CorpusSettings(name="emodb", root=Path()),)).split)
    (tmp_path / "free").mkdir()
    (tmp_path / "free" / "x.flac").write_bytes(labelled[0].audio.read_bytes())
    samples, rate = soundfile.read(labelled[1].audio)
    soundfile.write(tmp_path / "free" / "y.wav", 0.5 * samples, rate)
    free = read_unlabelled(settings_of(("unlabelled", tmp_path / "free"))).utterances
    findings = check_unlabelled(split, labelled, free, find_copies(labelled, free))
    errors = {f.kind: [o.name for o in f.offenders] for f in findings if f.severity == "error"}
    assert errors == {"content": [free[0].content], "near_duplicate": ["unlabelled/unlabelled/y.wav"]}
    assert [f.kind for f in findings if f.parts == ("unlabelled",)] == ["unknown_speaker"]


# ------------------------------------------------------------------------------------------------ runs

TINY_NETWORK = {"channels": (2, 2, 4, 4), "lstm_units": 4, "embedding_dim": 6}
TINY = {
    "window_frames": 96,
    "front_end": {"num_bands": 16},
    "training": {"epochs": 3, "batch_size": 4, "unlabelled_batch_size": 3, "learning_rate": 0.01, "restore_after": 1},
}


def semi(labelled: Path, folder: Path, preset: str = "mtl-aug-semi", **changes: object) -> ExperimentSettings:
    network = TINY_NETWORK if preset.startswith("mtl") else {"shared": TINY_NETWORK, "code_dim": 5}
    settings = settings_of(("unlabelled", folder), labelled=labelled, shortest_s=0.1)
    return settings.model_copy(update={"preset": preset, "system": {**TINY, "network": network}, **changes})


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("voices")
    generate(root, speakers=3, utterances_per_class=2, classes=("angry", "sad"))
    return root


@pytest.mark.parametrize("preset", ["mtl-aug-semi", "ss-aae"])
def test_an_interrupted_run_with_unlabelled_speech_ends_like_an_unbroken_one(
    voices: Path, folder: Path, tmp_path: Path, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = prepare(semi(voices, folder, preset))
    whole = run_experiment(plan, tmp_path / "whole", workers=1)
    write_log = loop._write_log

    def interrupted(path: Path, history: Sequence[Mapping[str, object]]) -> None:
        write_log(path, history)
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_write_log", interrupted)
    for _ in plan.jobs:  # each run gets one job further, by one epoch
        with pytest.raises(KeyboardInterrupt):
            run_experiment(plan, tmp_path / "broken", workers=1)
    monkeypatch.setattr(loop, "_write_log", write_log)
    resumed = run_experiment(prepare(semi(voices, folder, preset)), tmp_path / "broken", workers=1)
    for key in plan.jobs:
        one, two = whole.read_record(key), resumed.read_record(key)
        assert one.scores == two.scores
        first, second = ((run.job(key) / "model" / "weights.safetensors").read_bytes() for run in (whole, resumed))
        assert first == second


def test_a_run_tells_of_its_unlabelled_speech_everywhere(voices: Path, folder: Path, tmp_path: Path) -> None:
    plan = prepare(semi(voices, folder))
    run = run_experiment(plan, tmp_path / "run", workers=1)
    assert [u.id for u in run.read_unlabelled()] == [u.id for u in plan.unlabelled.utterances]
    assert {item.reason for item in run.read_unlabelled_left_out()} == {"undecodable", "silent", "duplicate"}
    record = run.read_record(plan.jobs[0])
    assert record.unlabelled is not None
    assert record.unlabelled["recordings"] == len(LENGTHS_S)
    assert record.unlabelled["minutes"] == pytest.approx(sum(LENGTHS_S.values()) / 60)
    assert read_checkpoint(run.job(plan.jobs[0]) / "model").about["unlabelled"]["corpora"] == ["unlabelled"]
    summary = summarise(run.path)
    assert summary["unlabelled"]["left_out"] == {"undecodable": 1, "silent": 1, "duplicate": 1}
    assert any("5 recordings without labels (unlabelled speech" in note for note in summary["notes"])
    write_report([run.path], tmp_path / "report.html")
    assert "heard in training without labels in every fold" in (tmp_path / "report.html").read_text()
    with pytest.raises(UsageError, match="holds another run"):
        run_experiment(prepare(semi(voices, folder / "a")), run.path, workers=1)


def test_missing_and_useless_unlabelled_speech_is_refused_before_anything_is_read(voices: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"none is given.*--unlabelled"):
        prepare(semi(voices, folder, unlabelled=UnlabelledSettings()))
    with pytest.raises(UsageError, match="does not learn from unlabelled speech"):
        prepare(settings_of(("unlabelled", Path("nowhere")), labelled=Path("nowhere")))


def test_a_tested_speaker_in_the_unlabelled_speech_stops_the_run(voices: Path, folder: Path) -> None:
    settings = semi(voices, folder)
    corpora = (CorpusSettings(name="synthetic", root=voices),)
    with pytest.raises(LeakError, match=r"unlabelled and test share 3 speakers in 3 of 3 folds"):
        prepare(settings.model_copy(update={"unlabelled": UnlabelledSettings(corpora=corpora)}))


def test_a_final_model_learns_from_it_and_its_card_says_so_and_who_may_use_it(
    voices: Path, folder: Path, tmp_path: Path
) -> None:
    settings = semi(voices, folder)
    train_final(settings, tmp_path / "model", figures=None, watcher=Quiet())
    card = (tmp_path / "model" / "card.md").read_text()
    assert "It also learnt from 5 recordings without labels (unlabelled speech; 1 speaker, 0.6 minutes)." in card
    assert "Whether these weights may be used commercially, the owner of unlabelled speech must say." in card
    assert not (tmp_path / "model.training").exists()
    assert read_checkpoint(tmp_path / "model").settings["training"]["schedule"] == "decay"
    run = run_experiment(prepare(settings), tmp_path / "run", workers=1)
    other = semi(voices, folder / "a")
    with pytest.raises(UsageError, match="the unlabelled speech differ"):
        train_final(other, tmp_path / "other", figures=run.path, watcher=Quiet())


def test_a_model_of_bound_and_free_speech_is_bound(voices: Path) -> None:
    def card(*names: str) -> str:
        first, *others = (CorpusSettings(name=name, root=Path()) for name in names)
        beside = UnlabelledSettings(corpora=tuple(others))
        settings = ExperimentSettings(preset="mtl-aug-semi", corpora=(first,), unlabelled=beside)
        return model_card(settings, people("emodb", "03"), LabelSet(("angry", "sad")), None)

    assert "All of this data may be used commercially." in card("emodb", "librispeech")
    assert "NOT for commercial use, because of RAVDESS" in card("emodb", "ravdess")
    assert "NOT for commercial use, because of RAVDESS" in card("ravdess", "librispeech")
    assert card("emodb", "librispeech").count("* LibriSpeech: CC BY 4.0") == 1


def test_librispeech_brings_speakers_and_their_sex_for_ss_aae(shared: Path) -> None:
    part = shared / "corpora" / "librispeech-sample" / "test-other"
    speech = read_unlabelled(settings_of(("librispeech", part))).utterances
    assert len(speech) == 100
    assert {u.gender for u in speech} == {"female", "male"}
    system = make_system(PRESETS["ss-aae"], system_settings("ss-aae", {}).model_dump(), LabelSet(("angry", "sad")))
    assert isinstance(system, SsAaeSystem)
    system.meet_unlabelled(speech)
    pieces = Pieces(speech, system, FeatureCache(), 7.68)
    first, last = pieces[0], pieces[len(pieces) - 1]
    assert first.inputs["audio"].shape[1] == 80
    assert first.inputs["audio"].shape[2] <= 481
    labelled = Example(people("emodb", "03")[0], first.inputs, 0)
    system.fit_inputs([labelled])
    assert system.network.speaker.classes.out_features == 11
    items = system.training_items([labelled, first, last], torch.Generator().manual_seed(0))
    batch = system.collate(items)
    assert batch.targets.tolist() == [0, -1, -1]
    assert len(set(batch.inputs["speaker"].tolist())) == 3
    assert batch.inputs["gender"][0] == -1
    assert (batch.inputs["gender"][1:] >= 0).all()
