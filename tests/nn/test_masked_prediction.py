"""Which steps are hidden in masked prediction, and what is measured on them."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from serenade.nn.masked_prediction import draw_spans, masked_losses


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(1, 12), st.floats(0.05, 1), st.integers(0, 2**31)
)
def test_spans_lie_in_the_speech_and_hide_something(lengths: list[int], span: int, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    masked = draw_spans(torch.tensor(lengths), 60, share, span, generator)
    for row, length in zip(masked, lengths, strict=True):
        assert row.any()
        assert not row[length:].any()
        if length > 1 and round(share * length / span) <= 1:
            assert not row.all()
        if length > span:  # every run of hidden steps is a span or several that overlap or touch
            runs = "".join(map(str, row.int().tolist())).split("0")
            assert all(len(run) >= span for run in runs if run)


def test_the_share_hidden_is_that_of_spans_that_fall_anywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    masked = draw_spans(torch.full((200,), 400), 400, 0.65, 10, generator)
    # n spans of s among T places leave a step in the middle open with (1 - s / (T - s + 1)) ** n
    assert abs(float(masked[:, 50:350].float().mean()) - (1 - (1 - 10 / 391) ** 26)) < 0.01


def test_losses_are_cross_entropy_and_mean_absolute_error() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(7, 5, generator=generator)
    mels, truth = torch.randn(7, 4, generator=generator), torch.randn(7, 4, generator=generator)
    clusters = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    found = masked_losses(scores, mels, clusters, truth, mel_weight=0.5)
    by_hand = -sum(float(functional.softmax(row, 0)[place].log()) for row, place in zip(scores, clusters, strict=True))
    assert torch.isclose(found["clusters"], torch.tensor(by_hand / 7))
    assert torch.isclose(found["mels"], (mels - truth).abs().sum() / 28)
    assert torch.isclose(found["loss"], found["clusters"] + 0.5 * found["mels"])
    right = sum(int(row.argmax()) == int(place) for row, place in zip(scores, clusters, strict=True))
    assert torch.isclose(found["accuracy"], torch.tensor(right / 7))
