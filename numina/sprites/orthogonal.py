"""A Muon step for convolutions: torch's own takes matrices only."""

from __future__ import annotations

from collections.abc import Iterable

import torch


class ConvolutionMuon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised with the kernel flattened to ``[out, in * taps]``.

    An autoencoder of a few hundred steps needs it: under AdamW the same network was still blurred
    at step 450. The update's size matches AdamW's (root mean square 0.2), so that both share a
    learning rate.
    """

    def __init__(
        self, params: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(state["momentum"], group["momentum"])
                matrix = ahead.reshape(len(parameter), -1)
                scale = 0.2 * max(matrix.shape) ** 0.5
                parameter.add_(
                    _orthogonalise(matrix).view_as(parameter), alpha=-group["lr"] * scale
                )


def _orthogonalise(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz with the quintic coefficients of Muon: all singular values come near 1."""
    first, third, fifth = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    rows = matrix.T if tall else matrix
    rows = rows / (rows.norm() + 1e-7)
    for _ in range(steps):
        gram = rows @ rows.T
        rows = first * rows + (third * gram + fifth * gram @ gram) @ rows
    return rows.T if tall else rows


def autoencoder_optimizers(
    parameters: Iterable[torch.nn.Parameter], kernel_rate: float, other_rate: float
) -> list[torch.optim.Optimizer]:
    """Muon for the kernels among an autoencoder's parameters, AdamW for all others."""
    every = list(parameters)
    # The norms' gains have four dimensions too, all but one of length 1.
    kernels = [p for p in every if p.ndim >= 4 and p[0].numel() > 1]
    others = [p for p in every if p.ndim < 4 or p[0].numel() == 1]
    return [
        ConvolutionMuon(kernels, lr=kernel_rate),
        torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.97), weight_decay=0.0),
    ]
