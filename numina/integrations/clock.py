"""Follow the denoising loop of a pipeline by the forward passes of its transformer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from numina.attend import Branch, Moment, Prediction, Watch, is_undisturbed, num_branches
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import Adapter, ForwardPass
from numina.integrations.caches import refuse_caches
from numina.integrations.noise import NoiseScale
from numina.integrations.parallelism import share_of
from numina.share import AllPatches, Share
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence


class LoopClock:
    """Tells which step, branch and noise level the denoising loop has reached.

    diffusers pipelines announce the branch through ``transformer.cache_context``; those that do
    not pass the step and the noise level with it are followed by counting conditional passes and
    by the timestep. A pass announced as both branches holds both where its batch has two rows for
    each video; without classifier-free guidance it is the conditional one alone. Passes that
    nothing announced are told apart by their timestep, and those of one step by their order, which
    the adapter knows.
    """

    def __init__(
        self,
        adapter: Adapter,
        transformer: nn.Module,
        watch: Watch | None,
        noise_scale: NoiseScale,
        videos: int,
    ) -> None:
        self._adapter = adapter
        self._transformer = transformer
        self._watch = watch
        self._scale = noise_scale
        self._videos = videos
        self._announced: Branch = "cond"
        self._is_announced = False
        self._unannounced_at: float | None = None
        self._unannounced_passes = 0
        self._branch: Branch = "cond"
        self._runs_apart = False
        self._step = -1
        self._announced_noise: float | None = None
        self._noise = 0.0
        self._grid: VideoGrid | None = None
        self._share: Share = AllPatches()
        self.forwards = 0

    def now(
        self, layer: int, joint: JointSequence | None = None, key_offset: Tensor | None = None
    ) -> Moment:
        """The moment at which ``layer`` attends."""
        assert self._grid is not None, "the forward pre-hook runs before any attention"
        return Moment(
            self._step,
            self._noise,
            self._branch,
            layer,
            self._grid,
            joint,
            key_offset,
            self._share,
        )

    @contextmanager
    def announced(
        self, name: str, step_index: int | None = None, sigma: float | None = None
    ) -> Iterator[None]:
        """Take in what the pipeline says of the passes it runs within this context."""
        branches: dict[str, Branch] = {
            "uncond": "uncond",
            "pred_uncond": "uncond",  # as guiders say it
            "cond_uncond": "both",
            "uncond_stg": "perturbed",
            "uncond_modality": "isolated",
        }
        self._announced = branches.get(name, "cond")
        if step_index is not None:
            self._step = step_index
        elif is_undisturbed(self._announced):
            self._step += 1
        self._announced_noise = sigma
        self._is_announced = True
        try:
            yield
        finally:
            self._is_announced = False

    def before_forward(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        forward = ForwardPass.of(module, args, kwargs)
        if not self._is_announced:
            self._begin_unannounced(forward)
        self._branch = self._branch_of(len(forward.latents))
        if not is_undisturbed(self._branch) and not self._runs_apart:
            self._runs_apart = True
            refuse_caches(module, apart=True)
        self.forwards += num_branches(self._branch)
        self._grid = self._adapter.grid(module, forward)
        self._share = share_of(module, self._grid)
        if self._announced_noise is None:
            self._noise = self._scale.level(self._timestep(forward))
        else:
            self._noise = self._announced_noise

    def _begin_unannounced(self, forward: ForwardPass) -> None:
        timestep, order = self._timestep(forward), self._adapter.unannounced_branches()
        rows = len(forward.latents)
        holds_both = rows != self._videos
        if holds_both and "both" not in order:
            raise self._unexpected(rows, "one row for each video is expected")
        if timestep != self._unannounced_at or holds_both:
            self._unannounced_at, self._unannounced_passes = timestep, 0
            self._step += 1
        if self._unannounced_passes == len(order):
            raise UnsupportedModelError(
                f"{len(order) + 1} forward passes at timestep {timestep:g} were announced by no "
                "cache_context, so it is not known which is conditional; let the pipeline announce "
                "them, or run both branches in one pass"
            )
        self._announced = "both" if holds_both else order[self._unannounced_passes]
        self._announced_noise = None
        self._unannounced_passes += 1

    def _timestep(self, forward: ForwardPass) -> float:
        # Some models give every token a timestep of its own.
        return float(self._adapter.timesteps(forward).max())

    def _branch_of(self, rows: int) -> Branch:
        if self._announced != "both":
            return self._announced
        if rows not in (self._videos, 2 * self._videos):
            raise self._unexpected(
                rows, "one row for each video is expected, or two with classifier-free guidance"
            )
        return "cond" if rows == self._videos else "both"

    def _unexpected(self, rows: int, expected: str) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"videos is {self._videos}, but a forward pass has a batch of {rows}, where "
            f"{expected}; pass videos= as the pipeline makes them"
        )

    def after_forward(
        self, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any
    ) -> Any:
        """Show the prediction to the watch; what it changes is the transformer's new output."""
        if self._watch is None:
            return None
        forward = ForwardPass.of(module, args, kwargs)
        returned = output[0] if isinstance(output, tuple) else output.sample

        def frames(latents: Tensor) -> Tensor:
            return self._adapter.frames_of_grid(module, forward, latents)

        latents, velocity = self._scale.as_flow(
            frames(forward.latents), frames(returned), self._noise
        )
        timesteps = self._adapter.timesteps(forward)
        shares = _own_levels(timesteps, self._adapter.grid(module, forward), velocity)
        velocity = velocity * shares
        change = self._watch(Prediction(self._step, self._noise, self._branch, latents, velocity))
        if change is None:
            return None
        # What is given is not changed.
        change = torch.where(shares > 0, change / shares, 0.0)
        # The frames are a rearrangement, and the adjoint of one takes it back.
        rearranged_back = torch.func.vjp(frames, returned)[1]
        (change,) = rearranged_back(self._scale.as_output(change, self._noise).to(returned.dtype))
        changed = returned + change
        if isinstance(output, tuple):
            return (changed, *output[1:])
        return replace(output, sample=changed)


def _own_levels(timestep: Tensor, grid: VideoGrid, velocity: Tensor) -> Tensor:
    """Share of the step's noise level that each latent has, broadcastable to ``velocity``.

    Frames ``[B, F]`` or tokens ``[B, F Y X]`` may have timesteps of their own: those of a given
    frame are 0, and nothing that the model returns there is taken off it.
    """
    if timestep.ndim < 2:
        return velocity.new_ones(())
    sizes = grid.shape if timestep.shape[1] == grid.tokens else (grid.frames, 1, 1)
    shares = (timestep / timestep.max()).unflatten(1, sizes)[:, None]
    return functional.interpolate(shares.to(velocity), size=velocity.shape[2:])
