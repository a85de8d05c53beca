"""Convolutions and row-wise projections that are quicker on a CPU than the plain calls, with equal results.

Measured with `benchmarks/training_step.py`. Away from a CPU and while a graph is exported or compiled, every function
here is the plain call; in half precision all but `project_rows` are.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["conv2d_plus_input", "exact_on_cpu", "few_products_conv2d", "project_rows"]

_TILE = 4  # outputs made at once along the width: more save more products and lose more digits
_MIN_BATCH = 8  # below, evaluating the kernel at the points takes longer than is saved
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # where the polynomials are evaluated, besides infinity


def exact_on_cpu(x: Tensor) -> bool:
    """Whether x is computed with on a CPU at full precision, eagerly: the case the functions of this file are made for.

    Args:
        x: any shape.
    """
    exact = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    return exact and _eager_on_cpu(x)


def _eager_on_cpu(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype is not torch.float16
        and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # not annotated there
        and not torch.compiler.is_compiling()
    )


def project_rows(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer over the last axis, ``x W^T + b``.

    On a CPU it is called as the 1x1 convolution it equals: oneDNN's kernel takes 0.8 of the time of the matrix product
    of the BLAS in PyTorch's builds (4096 rows, 182 to 728 and back; AMD, AVX-512). In bfloat16, also there, the whole
    training step of GLAM then takes 0.96 (AMD) or 0.98 (Intel with AMX) of the time.

    Args:
        x: (B, N, D) rows.
        weight: (E, D).
        bias: (E,), or None.

    Returns:
        (B, N, E).
    """
    if not _eager_on_cpu(x):
        return functional.linear(x, weight, bias)
    image = x.unsqueeze(1).permute(0, 3, 1, 2)  # (B, D, 1, N): channels last in memory, so nothing is copied
    out = functional.conv2d(image, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).squeeze(1)


def conv2d_plus_input(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``conv(x) + x`` with an odd square kernel, stride 1 and zero padding to the same size.

    On a CPU the input is added inside the kernel: one pass over memory less forward and two less backward. In half
    precision ``1 + w`` would lose w, so that there it is added to the result.

    Args:
        x: (B, C, H, W).
        weight: (C, C, R, R), R odd.
        bias: (C,), or None.

    Returns:
        (B, C, H, W).
    """
    padding = weight.shape[-1] // 2
    if exact_on_cpu(x):
        kernel = weight + _identity_kernel(len(weight), weight.shape[-1], weight.dtype)
        return functional.conv2d(x, kernel, bias, padding=padding)
    return functional.conv2d(x, weight, bias, padding=padding).add_(x)


@lru_cache(maxsize=32)
def _identity_kernel(channels: int, size: int, dtype: torch.dtype) -> Tensor:
    """(C, C, R, R) kernel whose convolution is its input."""
    with torch.inference_mode(mode=False):  # kept for later calls, which may need gradients
        return nn.init.dirac_(torch.empty(channels, channels, size, size, dtype=dtype))


def few_products_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 2-D convolution with odd kernel, stride 1 and zero padding to the same size, with fewer products.

    Winograd's method along the width (S. Winograd, "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray,
    CVPR 2016, section 4), the plain sum along the height. Four outputs of a kernel 5 wide take 8 products instead of
    20: input and kernel are evaluated at 8 points, convolved over the height at each point, and interpolated. All
    three steps are linear, so autograd has the gradients with the same saving. The rounding error is 3 to 6
    times that of the plain sum. It pays where channels are many (128: 0.7 of the time) and not where they are few.

    Args:
        x: (B, C, H, W).
        weight: (D, C, R, S), R and S odd, S at most 5.
        bias: (D,), or None.

    Returns:
        (B, D, H, W), channels last in memory where the short way was taken.
    """
    rows, columns = weight.shape[2:]
    if not exact_on_cpu(x) or len(x) < _MIN_BATCH:  # in this order: an exported graph keeps any batch size
        return functional.conv2d(x, weight, bias, padding=(rows // 2, columns // 2))
    batch, channels, height, width = x.shape
    split, evaluate, join = _matrices(width, columns, x.dtype)
    points = len(evaluate)
    lines = x.permute(0, 2, 3, 1).reshape(batch * height, width, channels)
    lines = torch.matmul(split, lines)  # (B H, tiles * points, C)
    image = lines.view(batch, height, -1, points * channels).permute(0, 3, 1, 2)  # (B, points * C, H, tiles)
    kernels = torch.matmul(weight, evaluate.T).permute(3, 0, 1, 2)  # (points, D, C, R)
    kernels = kernels.reshape(-1, channels, rows, 1)
    image = functional.conv2d(image, kernels, padding=(rows // 2, 0), groups=points)
    lines = image.permute(0, 2, 3, 1).reshape(batch * height, -1, len(weight))  # (B H, tiles * points, D)
    out = torch.matmul(join, lines)  # (B H, W, D)
    out = out if bias is None else out.add_(bias)
    return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _matrices(width: int, kernel: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The three linear maps of `few_products_conv2d` for one width, padding and tiling included.

    Returns:
        (tiles * points, W) input to values at the points, (points, S) kernel to values, (W, tiles * points) products
        to outputs.
    """
    points = _TILE + kernel - 1
    tiles = -(-width // _TILE)
    with torch.inference_mode(mode=False):  # kept for later calls, which may need gradients
        # Toom-Cook: outputs = powers(_TILE)^T [(powers(S) kernel) * (powers(points)^-T inputs)], rows scaled to size 1
        inputs = torch.linalg.inv(_powers(points, points)).T
        scale = torch.exp2(torch.log2(inputs.abs().sum(1)).round())[:, None]
        split = torch.zeros(tiles, points, width + kernel + _TILE, dtype=torch.float64)
        join = torch.zeros(tiles, points, tiles * _TILE, dtype=torch.float64)
        for tile in range(tiles):
            start = tile * _TILE
            split[tile, :, start : start + points] = inputs / scale
            join[tile, :, start : start + _TILE] = _powers(points, _TILE)
        split = split[..., kernel // 2 : kernel // 2 + width].reshape(-1, width)
        join = join[..., :width].reshape(-1, width).T.contiguous()
        return split.to(dtype), (_powers(points, kernel) * scale).to(dtype), join.to(dtype)


def _powers(points: int, count: int) -> Tensor:
    """(points, count) float64 powers 0 to count - 1 of the points, the last of which is infinity."""
    finite = torch.tensor(_POINTS[: points - 1], dtype=torch.float64)[:, None] ** torch.arange(count)
    infinite = torch.zeros(1, count, dtype=torch.float64)
    infinite[0, -1] = 1
    return torch.cat([finite, infinite])
