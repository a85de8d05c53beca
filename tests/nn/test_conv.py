"""The quick convolution and projection against the plain ones."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serenade.nn.conv import conv2d_plus_input, exact_on_cpu, few_products_conv2d, project_rows


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return out, *torch.autograd.grad((out * draw(*out.shape, seed=9, dtype=out.dtype)).sum(), inputs)


@pytest.mark.parametrize("width", [1, 3, 4, 7, 14, 16])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 5), (3, 5)], ids=str)
def test_few_products_give_the_plain_convolution_and_its_gradients(width: int, kernel: tuple[int, int]) -> None:
    x, weight, bias = draw(8, 3, 6, width, seed=0), draw(5, 3, *kernel, seed=1), draw(5, seed=2)
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    plain = functional.conv2d(x, weight, bias, padding=(kernel[0] // 2, kernel[1] // 2))
    ours = few_products_conv2d(x, weight, bias)
    for got, expected in zip(with_gradients(ours, *inputs), with_gradients(plain, *inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


def test_few_products_lose_at_most_a_digit_in_float32() -> None:
    x, weight, bias = draw(8, 128, 13, 14, seed=0), draw(128, 128, 5, 5, seed=1) / 128**0.5 / 5, draw(128, seed=2)
    exact = functional.conv2d(x, weight, bias, padding=2)
    plain = functional.conv2d(x.float(), weight.float(), bias.float(), padding=2)
    ours = few_products_conv2d(x.float(), weight.float(), bias.float())
    assert (ours - exact).square().mean().sqrt() < 10 * (plain - exact).square().mean().sqrt()


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_input_is_added_to_its_convolution(kernel: int) -> None:
    x, weight, bias = draw(2, 3, 6, 7, seed=0), draw(3, 3, kernel, kernel, seed=1), draw(3, seed=2)
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    plain = functional.conv2d(x, weight, bias, padding=kernel // 2) + x
    ours = conv2d_plus_input(x, weight, bias)
    for got, expected in zip(with_gradients(ours, *inputs), with_gradients(plain, *inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_matrices_first_made_without_gradients_serve_training() -> None:
    x, weight, bias = draw(8, 2, 3, 11, seed=0), draw(2, 2, 5, 5, seed=1), draw(2, seed=2)
    with torch.inference_mode():
        few_products_conv2d(x, weight, bias)
    few_products_conv2d(x, weight.requires_grad_(), bias).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("rows", [1, 2, 128])
def test_projected_rows_equal_a_linear_layer_and_its_gradients(rows: int) -> None:
    x, weight, bias = draw(3, rows, 7, seed=0), draw(5, 7, seed=1), draw(5, seed=2)
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    ours, plain = project_rows(x, weight, bias), functional.linear(x, weight, bias)
    for got, expected in zip(with_gradients(ours, *inputs), with_gradients(plain, *inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_projected_rows_in_bfloat16_are_as_near_as_the_plain_way() -> None:
    x, weight, bias = draw(4, 16, 182, seed=0), draw(64, 182, seed=1) / 14, draw(64, seed=2)
    exact = functional.linear(x, weight, bias)
    single = [tensor.float() for tensor in (x, weight, bias)]
    with torch.autocast("cpu", torch.bfloat16):
        ours, plain = project_rows(*single), functional.linear(*single)
    assert ours.dtype is plain.dtype is torch.bfloat16
    assert (ours - exact).abs().max() < 1.5 * (plain - exact).abs().max()


def test_half_precision_and_autocast_take_the_plain_way() -> None:
    x = torch.zeros(1)
    assert exact_on_cpu(x)
    assert not exact_on_cpu(x.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not exact_on_cpu(x)
