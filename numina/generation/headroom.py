"""A look at the device's memory in the first layer of a run, before anything is spent on it."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from numina.attend import Attend, Attention, Moment, conditional
from numina.attention.accounting import (
    Machine,
    RunSize,
    guidance_peak,
    look_peak,
    plan_peak,
    sketch_peak,
)
from numina.errors import OutOfMemoryError
from numina.generation.request import CountRequest
from numina.guidance.whole_layout import ClassTargets
from numina.identify.sketch import SketchSpec
from numina.integrations import Site
from numina.memory import free_bytes
from numina.methods.method import Method
from numina.methods.observing import Observing
from numina.methods.robust import Robust
from numina.video import VideoGrid
from numina_kernels.impl import resolve


def with_headroom(
    attends: Mapping[Site, Attend],
    request: CountRequest,
    method: Method,
    layers: int,
) -> dict[Site, Attend]:
    """The same attention functions; the first to be called makes sure that all of them will fit.

    In the first layer the model and its latents are on the device, as they will be in every later
    step, and nothing of the run is lost yet. Where the device does not say what is free, as a CPU,
    nothing is checked. Only the first site is wrapped, and it checks once.

    Args:
        attends: The attention function of each site.
        request: What is counted.
        method: Who looks and guides.
        layers: Blocks of the transformer.

    Raises:
        OutOfMemoryError: From the first call on, if what a layer needs is more than what is free.
    """
    sites = sorted(attends, key=lambda site: (site.layer, site.kind != "self"))
    if not sites:
        return dict(attends)
    first = sites[0]
    return {**attends, first: _Checked(attends[first], request, method, layers)}


class _Checked:
    """An attention function that looks at the free memory the first time it is called."""

    def __init__(
        self,
        attend: Attend,
        request: CountRequest,
        method: Method,
        layers: int,
    ) -> None:
        self._attend = attend
        self._request = request
        self._method = method
        self._layers = layers
        self._is_due = True

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, moment: Moment, stock: Attention
    ) -> Tensor:
        if self._is_due:
            self._is_due = False
            self._check(query, key, moment)
        return self._attend(query, key, value, moment, stock)

    def _check(self, query: Tensor, key: Tensor, moment: Moment) -> None:
        free = free_bytes(query.device)
        if free is None:
            return
        size = _size_of(query, key, moment, self._request, self._layers)
        machine = Machine(resolve(None, query.device.type), query.device.type)
        if needed_bytes(size, machine, self._method) > free:
            raise OutOfMemoryError(_refusal(size, machine, self._method, free, query.device))


def needed_bytes(size: RunSize, machine: Machine, method: Method) -> int:
    """Bytes that a look or a guided layer needs, the output of the layer included.

    Args:
        size: Of the run.
        machine: Who computes.
        method: Who looks, and guides if it ever does.
    """
    samples = ClassTargets().samples
    looked = [look_peak(size, machine).bytes]
    if method.capture.features is not None:
        looked.append(sketch_peak(size, machine, SketchSpec()).bytes)
    if isinstance(method, Observing):
        return max(looked)
    output = size.output_bytes * (2 if size.both_branches else 1)
    guided = guidance_peak(size, machine, samples).bytes + output
    return plan_peak(size, samples).bytes + max(*looked, guided)


def _size_of(
    query: Tensor, key: Tensor, moment: Moment, request: CountRequest, layers: int
) -> RunSize:
    videos, _, heads, head_dim = conditional(moment.branch, query).shape
    positions = [sum(map(len, row.positions)) for row in request.rows]
    return RunSize(
        grid=moment.grid,
        # A first site that is the video's own has no text keys; they matter little.
        text=request.num_keys if moment.joint is None else moment.joint.text,
        heads=heads,
        head_dim=head_dim,
        layers=layers,
        joint=moment.joint is not None,
        both_branches=moment.branch == "both",
        videos=videos,
        nouns=request.num_nouns,
        noun_keys=max(positions),
        itemsize=query.element_size(),
    )


def _refusal(
    size: RunSize, machine: Machine, method: Method, free: int, device: torch.device
) -> str:
    needed = needed_bytes(size, machine, method)
    smaller = {
        "half as many frames": replace(size, grid=_shorter(size.grid)),
        "a frame of half the height": replace(size, grid=_lower(size.grid)),
        "one video at a time": replace(size, videos=1),
        "counting one noun": replace(size, nouns=1),
    }
    needs = {way: needed_bytes(each, machine, method) for way, each in smaller.items()}
    if method.capture.features is not None:
        needs['preset="robust", which sketches no maps'] = needed_bytes(size, machine, Robust())
    told = [
        f"{way} ({_mebibytes(need)}{', which fits' if need <= free else ''})"
        for way, need in needs.items()
        if need < 0.9 * needed
    ]
    advice = [
        "pipe.enable_model_cpu_offload() or group offloading, which frees what the weights take",
        *told,
        'a plain run (on_oom="unguided" of numina.generate)',
    ]
    frames, rows, columns = size.grid.shape
    return (
        f"to look at and guide {size.videos} x {frames} x {rows} x {columns} patches with "
        f"{size.nouns} counted nouns, a layer needs {_mebibytes(needed)} on {device}, but "
        f"{_mebibytes(free)} are free; try {', or '.join(advice)}"
    )


def _shorter(grid: VideoGrid) -> VideoGrid:
    return replace(grid, frames=max(1, grid.frames // 2))


def _lower(grid: VideoGrid) -> VideoGrid:
    return replace(grid, rows=max(1, grid.rows // 2))


def _mebibytes(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"
