"""An upstream that is trained along: what stays as it is, what is masked, and how memory is saved."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.models.upstreams.upstream import Frames, Upstream

__all__ = ["FineTuned", "FineTuningSettings", "FrameMaskSettings", "mask_frames"]


class FrameMaskSettings(Settings):
    """SpecAugment inside the network, on what its convolutions give, in training only."""

    time_masks: int = Field(0, ge=0, description="stretches of frames masked per utterance; 0: none")
    time_frames: int = Field(10, ge=1, description="frames of a stretch; at most a fifth of the utterance")
    feature_masks: int = Field(0, ge=0, description="bands of features set to 0 per utterance; 0: none")
    feature_width: int = Field(64, ge=1, description="features of a band; at most a fifth of them")


_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_LARGEST_SHARE = 0.2  # of frames or of features that one mask may take


class FineTuningSettings(Settings):
    """How a pretrained network is trained along with what stands behind it."""

    learning_rate: float = Field(1e-5, gt=0, description="of the upstream; training.learning_rate is of all else")
    freeze_convolutions: bool = Field(True, description="leave the convolutions over samples as they are")
    gradient_checkpointing: bool = Field(
        True,
        description="compute blocks twice instead of keeping them: less memory; networks of Transformers alone",
    )
    longest_s: float = Field(15.0, gt=0, description="in training, longer utterances are cut at random, in seconds")
    masks: FrameMaskSettings = FrameMaskSettings()


class FineTuned(nn.Module):
    """An upstream as a part of a network in training.

    The convolutions of speech networks stay as they are, in evaluation mode and without gradients (freezing their
    parameters alone would not do: the library would still keep what they compute). Layer drop is 0, other dropouts are
    those of the checkpoint.

    Args:
        upstream: of its own, as its weights change.
        settings: what is trained, and how.

    Raises:
        UsageError: the upstream has nothing to train, or the masks are asked of one that has no place for them.
    """

    def __init__(self, upstream: Upstream, settings: FineTuningSettings) -> None:
        super().__init__()
        self.upstream, self.settings = upstream, settings
        self.generator: Generator | None = None  # draws masks; the global one where None
        _require_weights_of_its_own(upstream)
        upstream.requires_grad_(True)
        network: Any = getattr(upstream, "network", upstream)
        self._still = _convolutions(network) if settings.freeze_convolutions else []
        for module in self._still:
            module.requires_grad_(False)
            if (freeze := getattr(module, "_freeze_parameters", None)) is not None:
                freeze()  # also tells the library to build no graph through them
        self._leave_unused(network)
        if settings.gradient_checkpointing and hasattr(network, "gradient_checkpointing_enable"):
            network.config.use_cache = False  # of text decoders; with it the library warns
            # the library's newer name for it, where it has one
            enable = getattr(network, "activation_checkpointing_enable", network.gradient_checkpointing_enable)
            enable({"use_reentrant": False, "context_fn": _recomputing})
        self._place_masks(network)

    def _leave_unused(self, network: Any) -> None:
        """No gradient for what the frames do not depend on."""
        if getattr(network, "masked_spec_embed", None) is not None:
            network.masked_spec_embed.requires_grad_(self.settings.masks.time_masks > 0)
        if getattr(network, "pooler", None) is not None:
            network.pooler.requires_grad_(False)

    def _place_masks(self, network: Any) -> None:
        masks = self.settings.masks
        if not masks.time_masks and not masks.feature_masks:
            return
        if not hasattr(network, "feature_projection"):
            raise UsageError(
                f"the upstream {self.upstream.kind} has no place for masks of time and features",
                hint="Leave out fine_tuning.masks",
            )
        network.feature_projection.register_forward_hook(self._mask)

    def _mask(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """The output of the feature projection, (B, L, D), with masks in training."""
        if not self.training:
            return output
        hidden = output[0] if isinstance(output, tuple) else output
        token = getattr(self.upstream.network, "masked_spec_embed", None)
        masked = mask_frames(hidden, self._lengths.tolist(), self.settings.masks, token, self.generator)
        return (masked, *output[1:]) if isinstance(output, tuple) else masked

    def train(self, mode: bool = True) -> Self:
        """As usual, but what stays as it is stays in evaluation mode.

        Those are convolutions that are not trained, and batch normalisations: the padding of a batch would disturb
        their statistics.
        """
        super().train(mode)
        for module in (*self._still, *(part for part in self.upstream.modules() if isinstance(part, _BATCH_NORMS))):
            module.eval()
        return self

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch of prepared waveforms or token numbers (B, T), with (B,) lengths."""
        self._lengths = self.upstream.num_frames(lengths)
        frames: Frames = self.upstream(inputs, lengths)
        return frames


def _recomputing() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first and the second computation of a block."""
    return nullcontext(), _without_mask_warning()


@contextmanager
def _without_mask_warning() -> Iterator[None]:
    with warnings.catch_warnings():  # as in the first computation: WavLM's masks are of two types
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")
        yield


def _require_weights_of_its_own(upstream: Upstream) -> None:
    if not any(True for _ in upstream.parameters()):
        raise UsageError(
            f"the upstream {upstream.kind} has no weights that could be trained",
            hint="Leave out fine_tune: it is used as it is",
        )
    if not upstream.trainable:
        raise UsageError(
            f"the upstream {upstream.kind} is another system as a whole and cannot be trained along",
            hint="Leave out fine_tune: it is used as it is",
        )


def _convolutions(network: Any) -> list[nn.Module]:
    """The convolutions over samples or mel frames; none in a text encoder."""
    if hasattr(network, "feature_extractor"):
        return [network.feature_extractor]
    return [getattr(network, name) for name in ("conv1", "conv2") if hasattr(network, name)]  # Whisper


def mask_frames(
    hidden: Tensor, lengths: list[int], settings: FrameMaskSettings, token: Tensor | None, generator: Generator | None
) -> Tensor:
    """Stretches of time replaced by the network's own mark of masked frames, bands of features by zeros.

    D. Park et al., "SpecAugment", Interspeech 2019, as wav2vec 2.0 uses it. Widths are fixed, places even.

    Args:
        hidden: (B, L, D).
        lengths: valid frames of each utterance.
        settings: how many masks, and how wide.
        token: (D,) in place of a masked frame; None for zeros.
        generator: source of randomness, on the CPU; None for the global one.
    """
    masked = hidden.clone()
    filling = torch.zeros((), device=hidden.device) if token is None else token
    for row, length in enumerate(lengths):
        for start, width in _spans(settings.feature_masks, settings.feature_width, hidden.shape[2], generator):
            masked[row, :, start : start + width] = 0
        for start, width in _spans(settings.time_masks, settings.time_frames, length, generator):
            masked[row, start : start + width] = filling.to(hidden.dtype)
    return masked


def _spans(count: int, width: int, size: int, generator: Generator | None) -> list[tuple[int, int]]:
    """First place and width of each mask; none where a fifth of the whole is less than one place."""
    width = min(width, int(_LARGEST_SHARE * size))
    if width == 0:
        return []
    starts = torch.randint(0, size - width + 1, (count,), generator=generator).tolist()
    return [(start, width) for start in starts]
