"""Convolution of long sound with a long response, in memory that does not grow with either's product."""

import torch
from torch import Tensor

__all__ = ["convolve"]

_BLOCK = 2**16  # samples transformed at once, where the response is not longer


def convolve(waveform: Tensor, response: Tensor) -> Tensor:
    """Causal convolution by overlap-add of Fourier transforms, cut to the length of the waveform.

    Args:
        waveform: (T,) of any floating type, T at least 1.
        response: (K,) of the same type, K at least 1.

    Returns:
        (T,) ``y[t] = sum over k of response[k] x[t - k]``.
    """
    block = max(_BLOCK, len(response)) if len(waveform) > _BLOCK else len(waveform)
    length = 2 ** (block + len(response) - 2).bit_length()
    transformed = torch.fft.rfft(response, n=length)
    result = waveform.new_zeros(len(waveform))
    for start in range(0, len(waveform), block):
        part = torch.fft.irfft(torch.fft.rfft(waveform[start : start + block], n=length) * transformed, n=length)
        end = min(start + block + len(response) - 1, len(waveform))
        result[start:end] += part[: end - start]
    return result
