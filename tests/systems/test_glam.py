"""The GLAM system: segments, scores, recipe."""

import pytest
import torch

from serenade.core.errors import SettingsError, UsageError
from serenade.core.labels import LabelSet
from serenade.systems import PRESETS, SYSTEMS, make_system, system_settings
from serenade.systems.glam import GlamSettings, GlamSystem
from serenade.systems.upstream_downstream import UpstreamDownstreamSettings
from serenade.training.system import SegmentSystem

LABELS = LabelSet(("angry", "happy", "neutral", "sad"))


@pytest.fixture(scope="module")
def system() -> GlamSystem:
    torch.manual_seed(0)
    return GlamSystem(GlamSettings(), LABELS)


@pytest.mark.parametrize(("seconds", "segments"), [(4.5, 14), (1.8, 1), (0.3, 1), (2.0, 2)])
def test_a_turn_gives_the_papers_segments_and_short_turns_are_kept(
    system: GlamSystem, seconds: float, segments: int
) -> None:
    waveform = torch.randn(round(seconds * 16_000), generator=torch.Generator().manual_seed(1)) * 0.1
    assert system.extract(waveform, training=True)["audio"].shape == (segments, 26, 57)


def test_score_is_the_softmax_of_the_mean_of_segment_logits(system: GlamSystem) -> None:
    from pathlib import Path

    from serenade.core.records import Utterance
    from serenade.signal.segments import cut
    from serenade.training.system import Example

    waveform = torch.randn(48_000, generator=torch.Generator().manual_seed(2)) * 0.1
    example = Example(Utterance("u", Path("x"), "toy", "s", "sad"), system.extract(waveform, training=False), 3)
    with torch.inference_mode():
        outputs = system.predict(system.collate([example]))
        logits = system.segment_logits(cut(waveform, system.evaluation_segments))
    torch.testing.assert_close(outputs.probabilities[0], logits.mean(dim=0).softmax(dim=0), rtol=1e-4, atol=1e-5)
    assert isinstance(system, SegmentSystem)


def test_published_preset_is_the_released_codes_recipe() -> None:
    settings = system_settings("glam-published", {})
    assert isinstance(settings, GlamSettings)
    assert settings.segments.step == 3_199
    assert settings.segments.short == "drop"
    assert settings.training.epochs == 50
    assert settings.training.batch_size == 32
    assert settings.mixup_alpha == 0.5
    assert settings.training.weight_average == 0


def test_every_preset_resolves_and_builds() -> None:
    for preset, name in PRESETS.items():
        settings = system_settings(preset, {})
        assert isinstance(settings, SYSTEMS.resolve(name).settings_class)
        if isinstance(settings, UpstreamDownstreamSettings) and not all(b.upstream for b in settings.branches.values()):
            with pytest.raises(UsageError, match=r"no upstream is given.*docs/upstreams\.md"):
                make_system(name, settings.model_dump(mode="json", exclude_none=True), LABELS)
            continue
        made = make_system(name, settings.model_dump(mode="json", exclude_none=True), LABELS)
        assert made.settings == settings


def test_an_overlap_as_long_as_a_segment_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"evaluation_overlap_s must be shorter.*less than 1\.8"):
        GlamSystem(GlamSettings(evaluation_overlap_s=1.8), LABELS)


def test_votes_are_learnt_as_shares_and_the_label_where_there_are_none() -> None:
    from pathlib import Path

    from serenade.core.records import Utterance
    from serenade.training.system import Example

    generator = torch.Generator().manual_seed(3)
    votes = [{"sad": 3, "angry": 1, "other": 5}, {}]
    examples = [
        Example(Utterance(f"u{i}", Path("x"), "toy", "s", "sad", votes=v), {"audio": torch.randn(1, 26, 57)}, 3)
        for i, v in enumerate(votes)
    ]
    plain = GlamSystem(GlamSettings(mixup_alpha=0), LABELS)
    voted = GlamSystem(system_settings("glam", {"mixup_alpha": 0, "training": {"targets": "votes"}}), LABELS)  # type: ignore[arg-type] # its class
    voted.network.load_state_dict(plain.network.state_dict())
    plain.network.eval()
    voted.network.eval()
    logits = plain.network(torch.cat([example.inputs["audio"] for example in examples])).log_softmax(dim=1)
    by_hand = -(0.75 * logits[0, 3] + 0.25 * logits[0, 0] + logits[1, 3]) / 2
    torch.testing.assert_close(voted.losses(voted.collate(examples), generator)["emotion"], by_hand)
    torch.testing.assert_close(
        plain.losses(plain.collate(examples), generator)["emotion"], -(logits[0, 3] + logits[1, 3]) / 2
    )
