"""Networks over hand-crafted features: sizes, padding, what is missing, against torch's own layers."""

import pytest
import torch
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.models.hand_crafted import EmoEmbs, LfLstm, LfTrans, Mult, SequenceNetwork, SequenceSettings
from serenade.models.mesm import Frames
from serenade.models.mesm_settings import Modality

WIDTHS: dict[Modality, int] = {"text": 12, "audio": 6, "face": 5}
SMALL = SequenceSettings(num_layers=1, feed_forward=16, dropout=0, width=8)
ALL = (LfLstm, LfTrans, EmoEmbs, Mult)


def frames(counts: dict[str, tuple[int, ...]]) -> dict[str, Frames]:
    generator = torch.Generator().manual_seed(5)
    return {
        name: Frames(torch.randn(sum(counts[name]), width, generator=generator), torch.tensor(counts[name]))
        for name, width in WIDTHS.items()
    }


def build(kind: type[SequenceNetwork]) -> SequenceNetwork:
    torch.manual_seed(0)
    return kind(4, WIDTHS, SMALL).eval()


def of_utterance(given: dict[str, Frames], place: int) -> dict[str, Frames]:
    return {
        name: Frames(torch.split(f.values, f.lengths.tolist())[place], f.lengths[place : place + 1])
        for name, f in given.items()
    }


@pytest.mark.parametrize("kind", ALL)
def test_scores_do_not_depend_on_the_batch_nor_its_padding(kind: type[SequenceNetwork]) -> None:
    network, given = build(kind), frames({"text": (3, 1, 7), "audio": (2, 5, 1), "face": (1, 4, 2)})
    together = network(given)
    for place in range(3):
        torch.testing.assert_close(network(of_utterance(given, place))[0], together[place], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_a_missing_modality_does_no_harm(kind: type[SequenceNetwork]) -> None:
    given = frames({"text": (3, 0), "audio": (2, 5), "face": (0, 4)})
    present = {name: f.lengths > 0 for name, f in given.items()}
    network = build(kind)
    scores = network(given, present)
    assert torch.isfinite(scores).all()
    if kind is not Mult:  # there no branch can be left out
        alone = network.judge(given)[1]
        torch.testing.assert_close(scores[1], (alone["audio"][1] + alone["face"][1]) / 2)


def test_lf_lstm_reads_words_at_the_last_step_and_the_rest_at_the_last_of_each_direction() -> None:
    network = build(LfLstm)
    for name in ("text", "audio"):
        lstm: nn.LSTM = network.lstms[name].lstm  # type: ignore[union-attr,assignment,index]
        rows = torch.randn(1, 4, lstm.input_size)
        states, (last, _) = lstm(rows)
        read = states[0, -1] if name == "text" else torch.cat([last[0, 0], last[1, 0]])
        expected: Tensor = network.heads[name](read)  # type: ignore[index,operator,union-attr]
        torch.testing.assert_close(network.score(name, rows, torch.tensor([4]))[0], expected)  # type: ignore[operator]


def test_published_sizes() -> None:
    """Hidden units as wide as the features; heads 4, 2 and 5 for widths of 300, 144 and 35."""
    with torch.device("meta"):
        widths: dict[Modality, int] = {"text": 300, "audio": 144, "face": 35}
        lstm, trans, embs = LfLstm(6, widths), LfTrans(6, widths), EmoEmbs(6, widths)
    for name, width in widths.items():
        assert lstm.lstms[name].lstm.hidden_size == width  # type: ignore[union-attr]
        layers = trans.encoders[name].encoder.layers  # type: ignore[union-attr]
        assert len(layers) == 2  # type: ignore[arg-type]
        assert layers[0].self_attn.num_heads == {"text": 4, "audio": 2, "face": 5}[name]  # type: ignore[index,union-attr]
    assert embs.maps["audio"].weight.shape == (200, 300)
    equal = EmoEmbs(4, WIDTHS, SMALL).fusion.weights
    assert [weight.item() for weight in equal.values()] == pytest.approx([1 / 3] * 3)


def test_wrong_features_and_a_single_modality_for_mult_are_refused() -> None:
    given = frames({"text": (1,), "audio": (1,), "face": (1,)})
    with pytest.raises(UsageError, match="do not fit this network"):
        build(LfLstm)({"text": given["text"]})
    with pytest.raises(UsageError, match="attend to each other"):
        Mult(4, {"text": 12})
