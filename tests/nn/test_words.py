"""The word encoder: attention over words, padding."""

import torch

from serenade.nn.words import WordEncoder


def test_attention_sums_to_one_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    encoder = WordEncoder(50, 6)
    tokens = torch.tensor([[4, 9, 0, 0], [7, 7, 3, 2]])
    vectors, attention = encoder(tokens, torch.tensor([2, 4]))
    torch.testing.assert_close(attention.sum(1), torch.ones(2))
    assert attention[0, 2:].tolist() == [0, 0]
    alone, weights = encoder(tokens[:1, :2], torch.tensor([2]))
    torch.testing.assert_close(alone[0], vectors[0])
    torch.testing.assert_close(alone[0], weights[0] @ encoder.vectors(tokens[0, :2]))
