"""Classifiers of one vector per utterance, as tensors: they are fitted elsewhere and predict without scikit-learn."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ABSENT", "StandardisedClassifier", "SupportVectorMachine", "pairs_of", "vote"]

ABSENT = -1e4
"""Logit of a class that nobody taught: it never wins."""
_STEEPNESS = 2.0  # of the sigmoid that turns a pair's decision value into a share of a vote; +-1 is the margin
_LEAD = 1e-3  # of the elected class, so that it is the most probable one also where soft votes are equal


class StandardisedClassifier(nn.Module):
    """Standardise every feature, then classify.

    Args:
        width: D.
        classifier: from (N, D) standardised features to (N, K) logits.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, classifier: nn.Module) -> None:
        super().__init__()
        # float64: openSMILE's features reach from 1e-9 to 1e9, and some hardly vary around a large mean.
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(width, dtype=torch.float64))
        self.classifier = classifier

    def fit_scale(self, features: Tensor) -> None:
        """Take mean and deviation from (N, D) features; a feature that does not vary is only centred."""
        values = features.double()
        self.mean.copy_(values.mean(dim=0))
        deviation = values.std(dim=0, correction=0)
        # Features are float32: less than its rounding is no variation.
        constant = deviation <= values.abs().amax(dim=0) * torch.finfo(torch.float32).eps
        self.scale.copy_(torch.where(constant, 1.0, deviation))

    def embed(self, features: Tensor) -> Tensor:
        """(N, D) standardised features."""
        return ((features.double() - self.mean) / self.scale).float()

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) features to (N, K) logits."""
        logits: Tensor = self.classifier(self.embed(features))
        return logits


class SupportVectorMachine(nn.Module):
    """A support vector machine for each pair of classes, and their vote (one against one, as LIBSVM does it).

    The class with the most votes wins; among equals the one with the larger sum of decision values (scikit-learn's
    ``break_ties=True``). Votes are whole numbers and tell nothing of how sure the machine is. So the logits are soft
    votes: sigmoids of twice the decision values, summed per class, times `steepness`, which is fitted on utterances
    held out from training. Where soft votes would name another class than the machine, the logits of the two classes
    change places: the most probable class is always the machine's own.

    Args:
        width: D.
        num_classes: K.
        kernel: "linear" stores one normal per pair; "rbf" stores support vectors, exp(-gamma |x - v|^2).
    """

    classes: Tensor
    normals: Tensor
    support_vectors: Tensor
    weights: Tensor
    offsets: Tensor
    gamma: Tensor
    steepness: Tensor

    def __init__(self, width: int, num_classes: int, kernel: str) -> None:
        super().__init__()
        self.num_classes, self.kernel = num_classes, kernel
        pairs = num_classes * (num_classes - 1) // 2
        self.register_buffer("classes", torch.arange(num_classes))
        self.register_buffer("offsets", torch.zeros(pairs))
        self.register_buffer("steepness", torch.ones(()))
        if kernel == "linear":
            self.register_buffer("normals", torch.zeros(pairs, width))
        else:
            self.register_buffer("support_vectors", torch.zeros(0, width))
            self.register_buffer("weights", torch.zeros(pairs, 0))
            self.register_buffer("gamma", torch.ones(()))

    def decisions(self, inputs: Tensor) -> Tensor:
        """(N, P) decision values of the pairs in the order of `pairs_of`; positive for the first class of a pair."""
        if self.kernel == "linear":
            return inputs @ self.normals.T + self.offsets
        return torch.exp(-self.gamma * _squared_distances(inputs, self.support_vectors)) @ self.weights.T + self.offsets

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, D) to (N, K) logits."""
        logits = inputs.new_full((inputs.shape[0], self.num_classes), ABSENT)
        logits[:, self.classes] = self.steepness * vote(self.decisions(inputs), len(self.classes))
        return logits

    def take(self, **tensors: Tensor) -> None:
        """Set fitted tensors; those of another size than now (support vectors, classes present) replace the old."""
        for name, tensor in tensors.items():
            old = self.get_buffer(name)
            setattr(self, name, tensor.to(old.device, old.dtype))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            stored = state_dict.get(prefix + name)
            if stored is None or stored.ndim != buffer.ndim:
                continue  # the check of torch says so
            if name == "weights" or stored.shape[1:] == buffer.shape[1:]:
                setattr(self, name, buffer.new_zeros(stored.shape))  # how many there are is known by the file alone
        super()._load_from_state_dict(state_dict, prefix, *others)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(N, D) and (M, D) to (N, M)."""
    if torch.compiler.is_compiling():  # ONNX has no operator for it, and the plain way takes D times the memory
        return (x[:, None] - y).square().sum(dim=2)
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


def pairs_of(num_classes: int) -> list[tuple[int, int]]:
    """The pairs of classes in their order: (0, 1), (0, 2), ..., (1, 2), ..."""
    return list(combinations(range(num_classes), 2))


def vote(decisions: Tensor, num_classes: int) -> Tensor:
    """Soft votes of the pairs whose largest is the class that the pairs elect.

    Args:
        decisions: (N, P) decision values, positive for the first class of a pair.
        num_classes: K, with P = K (K - 1) / 2.

    Returns:
        (N, K) between 0 and K - 1 (and the lead of the elected).
    """
    firsts, seconds = torch.tensor(pairs_of(num_classes), device=decisions.device).T
    none = decisions.new_zeros(decisions.shape[0], num_classes)  # not len(), which a graph would keep
    won = (decisions >= 0).to(decisions.dtype)
    votes = none.index_add(1, firsts, won).index_add(1, seconds, 1 - won)
    sums = none.index_add(1, firsts, decisions).index_add(1, seconds, -decisions)
    elected = (votes + sums / (3 * (sums.abs() + 1))).argmax(dim=1, keepdim=True)
    shares = torch.sigmoid(_STEEPNESS * decisions)
    soft = none.index_add(1, firsts, shares).index_add(1, seconds, 1 - shares)
    largest, place = soft.max(dim=1, keepdim=True)
    return soft.scatter(1, place, soft.gather(1, elected)).scatter(1, elected, largest + _LEAD)
