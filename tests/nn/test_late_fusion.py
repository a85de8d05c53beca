"""Weighted sums of branches, with and without all of them."""

import torch

from serenade.nn.late_fusion import LateFusion


def weighted(**weights: float) -> LateFusion:
    fusion = LateFusion(tuple(weights))
    for name, weight in weights.items():
        fusion.weights[name].data.fill_(weight)
    return fusion


def test_branches_are_weighted_and_added() -> None:
    fusion = weighted(text=0.5, face=-1.0)
    scores = {"text": torch.tensor([[1.0, 2.0]]), "face": torch.tensor([[3.0, 4.0]])}
    torch.testing.assert_close(fusion(scores), torch.tensor([[-2.5, -3.0]]))
    present = {name: torch.tensor([True]) for name in scores}
    torch.testing.assert_close(fusion(scores, present), fusion(scores))


def test_what_is_missing_has_no_part_and_the_rest_keeps_the_size() -> None:
    fusion = weighted(text=0.5, face=1.0, audio=2.0)
    scores = {name: torch.ones(3, 1, requires_grad=True) for name in ("text", "face", "audio")}
    present = {
        "text": torch.tensor([True, True, False]),
        "face": torch.tensor([True, False, False]),
        "audio": torch.tensor([True, True, True]),
    }
    fused = fusion(scores, present)
    torch.testing.assert_close(fused, torch.tensor([[3.5], [2.5 * 3 / 2], [2.0 * 3]]))
    alone = fusion.alone(scores)
    torch.testing.assert_close(fused[2], alone["audio"][2])
    torch.testing.assert_close(fused[1], (alone["text"][1] + alone["audio"][1]) / 2)
    fused[2].sum().backward()
    assert scores["text"].grad is not None
    assert scores["text"].grad.tolist() == [[0.0], [0.0], [0.0]]


def test_a_single_branch_passes_through() -> None:
    fusion = LateFusion(("audio",))
    scores = torch.randn(2, 3)
    assert not list(fusion.parameters())
    assert fusion({"audio": scores}, {"audio": torch.tensor([True, False])}) is scores
