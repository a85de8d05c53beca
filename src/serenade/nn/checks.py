"""What networks ask of their input before they compute."""

from torch import Tensor

from serenade.core.errors import UsageError

__all__ = ["require_input_size"]


def require_input_size(x: Tensor, height: int, width: int, network: str) -> None:
    """Pass if an input has the size that a network is tied to.

    Args:
        x: (B, 1, F, L).
        height: F of the network.
        width: L of the network.
        network: its name, for the message.

    Raises:
        UsageError: the input has another size.
    """
    if x.shape[1:] != (1, height, width):
        raise UsageError(
            f"the input does not fit this {network} network, which is tied to its input size",
            found=tuple(x.shape),
            expected=f"(B, 1, {height}, {width})",
        )
