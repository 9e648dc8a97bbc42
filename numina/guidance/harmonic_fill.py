"""What lies behind an instance: the smoothest surface that continues what is seen around it."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def harmonic_fill(values: Tensor, hidden: Tensor, iterations: int) -> Tensor:
    """Replace hidden values by the solution of Laplace's equation, the seen ones being its border.

    The discrete equation says that a hidden value is the mean of its neighbours in the frame; a
    frame's own border is free. It is linear in ``values``, reproduces any ramp that is seen around
    a hole, and never leaves the range of what is seen. Solved for every frame and channel by as
    many steps of conjugate gradients, which reads no value on the host.

    Args:
        values: ``[..., y, x]``, floating point.
        hidden: Which to replace, bool, broadcastable to ``values``.
        iterations: Steps of conjugate gradients. Twice as many as the widest hole is wide leave an
            error of a thousandth; a frame without a seen value becomes 0.

    Returns:
        ``[..., y, x]`` float32; seen values are untouched.
    """
    seen = values.float()
    mask = hidden.expand(seen.shape)
    around = _neighbours(torch.ones_like(seen))

    def laplacian(surface: Tensor) -> Tensor:
        return torch.where(mask, around * surface - _neighbours(surface), 0.0)

    residual = torch.where(mask, _neighbours(torch.where(mask, 0.0, seen)), 0.0)
    solution = torch.zeros_like(seen)
    direction, error = residual, _dot(residual, residual)
    for _ in range(iterations):
        image = laplacian(direction)
        step = _ratio(error, _dot(direction, image))
        solution = solution + step * direction
        residual = residual - step * image
        before, error = error, _dot(residual, residual)
        direction = residual + _ratio(error, before) * direction
    return torch.where(mask, solution, seen)


def _neighbours(surface: Tensor) -> Tensor:
    """Sum of the four neighbours within the frame."""
    down, across = pad(surface, (0, 0, 1, 1)), pad(surface, (1, 1, 0, 0))
    return down[..., 2:, :] + down[..., :-2, :] + across[..., 2:] + across[..., :-2]


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(dim=(-2, -1), keepdim=True)


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    # 0 / 0 where a frame hides nothing or is solved.
    return torch.where(under > 0, over / under, 0.0)
