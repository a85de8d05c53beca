"""Center loss: embeddings of a class are drawn towards the class's center, which follows them.

Y. Wen, K. Zhang, Z. Li, Y. Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016,
doi 10.1007/978-3-319-46478-7_31, equations 2 and 4.
"""

import torch
from torch import Tensor, nn

__all__ = ["CenterLoss"]


class CenterLoss(nn.Module):
    """Half the squared distance to the centers of the classes; centers start at 0 and are buffers.

    They are not trained by the optimiser but moved by `update`, and are stored with the weights.

    Args:
        num_classes: K.
        width: D of the embeddings.
        rate: share of the way that `update` moves a center (alpha of the paper).
    """

    centers: Tensor

    def __init__(self, num_classes: int, width: int, *, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("centers", torch.zeros(num_classes, width))

    def forward(self, embeddings: Tensor, shares: Tensor) -> Tensor:
        """``mean_i sum_k shares_ik |e_i - c_k|^2 / 2`` (equation 2).

        Args:
            embeddings: (B, D).
            shares: (B, K) how much of each class an example is: one-hot, or the two shares of a mixture.

        Returns:
            Scalar; with one-hot shares its gradient is ``(e_i - c_yi) / B``.
        """
        distances = (embeddings[:, None].float() - self.centers).square().sum(dim=2)  # (B, K)
        return 0.5 * (shares * distances).sum(dim=1).mean()

    @torch.no_grad()
    def update(self, embeddings: Tensor, targets: Tensor) -> None:
        """``c_k <- c_k - rate sum_(i of class k) (c_k - e_i) / (1 + number of them)`` (equation 4).

        Args:
            embeddings: (B, D) of the step, as the loss saw them; B may be 0.
            targets: (B,) int64 class indices.
        """
        members = nn.functional.one_hot(targets, len(self.centers)).to(self.centers)  # (B, K)
        count = members.sum(dim=0)[:, None]
        differences = count * self.centers - members.T @ embeddings.detach().to(self.centers)
        self.centers.sub_(self.rate * differences / (1 + count))
