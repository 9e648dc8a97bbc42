"""Finds launch configurations for the card at hand: a few candidates, timed side by side.

This runs when ``numina tune`` is called and at no other time. Every candidate must give the result
of the shipped configuration before it is timed, and a winner must win clearly, because what holds
for one machine's noise would be loaded by every later run.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import triton
from torch import Tensor
from triton.runtime.errors import TritonError

from ..errors import ImplementationError
from ..key_groups import KeyGroups
from ..testing import make_layout_bias, make_qkv
from ..timing import take_turns
from . import launch
from .attention_map import (
    attention_map_apply_transposed,
    attention_map_lse,
    attention_map_reapply,
)
from .biased_attention import biased_attention, biased_attention_with_probs
from .config_file import ConfigFile
from .configs import Form, LaunchConfig, Place, shipped, trying, width_of
from .token_peaks import token_peaks
from .token_probs import token_probs

# Shapes of Wan: a video's queries and some of its heads against a text, and frames against
# themselves. 16 heads of 32768 queries keep every multiprocessor of a large card busy.
QUERIES, HEADS, KEYS, FOLDED_KEYS = 32_768, 16, 512, 24
FRAMES, PATCHES, SKETCH_COLUMNS = 8, 1560, 16
NOUNS = ((2, 3, 4), (6, 7), (10,))
# Two measurements of one kernel differ by a percent or two.
CLEARLY = 0.97
# Roundings of bfloat16 by which two orders of one sum may differ.
ROUNDINGS = 4

CANDIDATES: dict[Form, tuple[LaunchConfig, ...]] = {
    Form.STREAM: (
        # Fewer or more tiles in flight: shared memory against the wait for loads.
        LaunchConfig(128, 64, 8, 2),
        LaunchConfig(128, 64, 8, 4),
        # One warp group: half of the registers of a multiprocessor, so two programs may share it.
        LaunchConfig(128, 64, 4, 3),
        LaunchConfig(64, 64, 4, 3),
        # Longer tiles: fewer rescalings, more registers.
        LaunchConfig(64, 128, 4, 2),
        LaunchConfig(128, 128, 8, 2),
        # Shorter tiles, for cards with little shared memory.
        LaunchConfig(128, 32, 4, 3),
        LaunchConfig(64, 32, 4, 4),
    ),
    Form.ONE_TILE: (
        # There is no loop, so only the rows of a program and its warps are to be chosen.
        LaunchConfig(128, 128, 4, 1),
        LaunchConfig(64, 128, 8, 1),
        LaunchConfig(64, 128, 4, 1),
        LaunchConfig(32, 128, 4, 1),
    ),
    Form.PRODUCT: (
        LaunchConfig(128, 64, 8, 2),
        LaunchConfig(128, 64, 8, 4),
        LaunchConfig(128, 64, 4, 3),
        LaunchConfig(64, 64, 4, 3),
        # A result has few columns, so registers allow a long tile.
        LaunchConfig(128, 128, 8, 3),
        LaunchConfig(64, 128, 4, 3),
    ),
    Form.PROBS: (
        LaunchConfig(128, 0, 4, 1),
        LaunchConfig(64, 0, 4, 1),
        LaunchConfig(32, 0, 4, 1),
    ),
    Form.PEAKS: (
        # A program goes through a whole frame, so rows decide how long its loop is.
        LaunchConfig(128, 0, 8, 1),
        LaunchConfig(64, 0, 4, 1),
        LaunchConfig(32, 0, 4, 1),
    ),
}

Measure = Callable[[Mapping[str, Callable[[], Any]]], Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Workload:
    """Calls whose launches all read one line of the table."""

    place: Place
    calls: Mapping[str, Callable[[], Any]]


@dataclass(frozen=True)
class Trial:
    """What came of one configuration.

    Attributes:
        config: What was tried.
        seconds: Samples of every call; empty where it was not timed.
        fault: Why it was not timed.
    """

    config: LaunchConfig
    seconds: Mapping[str, Sequence[float]]
    fault: str | None = None


@dataclass(frozen=True)
class Choice:
    """The configuration to use at a place, and what it was chosen from.

    Attributes:
        place: Where it holds.
        usual: The shipped configuration, the first of them that fits the device.
        config: The chosen one.
        trials: All that were tried.
    """

    place: Place
    usual: LaunchConfig
    config: LaunchConfig
    trials: tuple[Trial, ...]

    def trial(self, config: LaunchConfig) -> Trial:
        return next(trial for trial in self.trials if trial.config == config)

    def relative(self, trial: Trial) -> float | None:
        """Time of a trial over that of the shipped one, the geometric mean over the calls."""
        if not trial.seconds:
            return None
        usual = self.trial(self.usual).seconds
        return statistics.geometric_mean(
            statistics.median(samples) / statistics.median(usual[name])
            for name, samples in trial.seconds.items()
        )

    @property
    def gain(self) -> float:
        """Time of the chosen configuration over that of the shipped one."""
        return self.relative(self.trial(self.config)) or 1.0


def candidates_at(place: Place) -> tuple[LaunchConfig, ...]:
    """What is tried at ``place``, the shipped configurations first."""
    usual = shipped(place)
    return (*usual, *(config for config in CANDIDATES[place.form] if config not in usual))


def tune(
    device: torch.device | str,
    head_dims: Sequence[int],
    *,
    seconds: float,
    repeats: int = 30,
    tell: Callable[[str], None],
) -> ConfigFile:
    """Find the configurations of bfloat16 and float16 for a card.

    Args:
        device: A CUDA device.
        head_dims: Head dimensions to tune for; each is tuned on its own.
        seconds: No further candidate is tried once so many seconds have passed.
        repeats: Samples of every call.
        tell: Gets a line for every place.

    Raises:
        ImplementationError: If ``device`` is no CUDA device.
    """
    device = torch.device(device)
    if device.type != "cuda":
        raise ImplementationError(f"launch configurations are timed on a CUDA device, got {device}")
    end = time.monotonic() + seconds
    choices = []
    for head_dim in head_dims:
        for workload in workloads(device, head_dim):
            choice = choose(
                workload, lambda calls: take_turns(calls, device, repeats=repeats), end=end
            )
            tell(line(choice))
            choices.append(choice)
    return ConfigFile(
        {choice.place: choice.config for choice in choices},
        {
            "device": torch.cuda.get_device_name(device),
            "torch": torch.__version__,
            "triton": triton.__version__,
            "choices": [_told(choice) for choice in choices],
        },
    )


def workloads(device: torch.device, head_dim: int) -> list[Workload]:
    """Calls of every form, as guidance and head statistics make them."""
    architecture = launch.architecture(torch.empty(0, device=device))
    scale = head_dim**-0.5
    query, key, value = make_qkv(
        1, QUERIES, KEYS, HEADS, head_dim, dtype=torch.bfloat16, device=device
    )
    groups = KeyGroups.from_positions(NOUNS, KEYS, device)
    bias = make_layout_bias(groups, QUERIES)
    short_groups = KeyGroups.from_positions(NOUNS, FOLDED_KEYS, device)
    short_bias = make_layout_bias(short_groups, QUERIES)
    short = (query, key[:, :FOLDED_KEYS], value[:, :FOLDED_KEYS])
    offset = torch.zeros(1, FOLDED_KEYS, device=device)
    offset[:, -1] = 6.0
    lse = attention_map_lse(query, key, scale)

    image, other, _ = make_qkv(
        FRAMES, PATCHES, PATCHES, HEADS, head_dim, dtype=torch.bfloat16, device=device
    )
    columns, _, _ = make_qkv(
        FRAMES, PATCHES, 1, HEADS, SKETCH_COLUMNS, dtype=torch.bfloat16, device=device
    )
    image_lse = attention_map_lse(image, other, scale)

    calls: dict[Form, dict[str, Callable[[], Any]]] = {
        Form.STREAM: {
            "plain": lambda: biased_attention(query, key, value, None, None, scale),
            "biased": lambda: biased_attention(query, key, value, bias, None, scale),
            "log-sum-exp": lambda: attention_map_lse(image, other, scale),
        },
        Form.ONE_TILE: {
            "biased": lambda: biased_attention(*short, short_bias, offset, scale),
            "with probs": lambda: biased_attention_with_probs(
                *short, short_groups, short_bias, offset, scale
            ),
        },
        Form.PRODUCT: {
            "product": lambda: attention_map_reapply(image, other, columns, image_lse, scale),
            "transposed": lambda: attention_map_apply_transposed(
                image, other, columns, image_lse, scale
            ),
        },
        Form.PROBS: {"probs": lambda: token_probs(query, key, groups, None, lse, scale)},
        Form.PEAKS: {"peaks": lambda: token_peaks(query, key, groups, FRAMES, None, lse, scale)[0]},
    }
    width = width_of(head_dim)
    return [Workload(Place(architecture, form, 16, width), calls[form]) for form in Form]


def choose(workload: Workload, measure: Measure, *, end: float) -> Choice:
    """Try the candidates of a place; the shipped one stays unless another clearly wins.

    Args:
        workload: What is timed.
        measure: Samples of each of many calls, in seconds.
        end: Time of ``time.monotonic`` after which no further candidate is tried.
    """
    expected = {name: call() for name, call in workload.calls.items()}
    usual, faults = None, {}
    for config in candidates_at(workload.place):
        late = usual is not None and time.monotonic() > end
        faults[config] = "no time was left" if late else _fault(workload, config, expected)
        if usual is None and faults[config] is None:
            usual = config
    if usual is None:
        raise ImplementationError(f"no configuration of {_name(workload.place)} runs: {faults}")

    samples = measure(
        {
            _label(config, name): _with(workload.place, config, call)
            for config, fault in faults.items()
            if fault is None
            for name, call in workload.calls.items()
        }
    )
    trials = [
        Trial(config, {name: samples[_label(config, name)] for name in workload.calls})
        if fault is None
        else Trial(config, {}, fault)
        for config, fault in faults.items()
    ]
    choice = Choice(workload.place, usual, usual, tuple(trials))
    ratios = {trial.config: ratio for trial in trials if (ratio := choice.relative(trial))}
    best = min(ratios, key=lambda config: ratios[config])
    return replace(choice, config=best) if ratios[best] < CLEARLY else choice


def line(choice: Choice) -> str:
    """A choice in one line."""
    failed = sum(trial.fault is not None for trial in choice.trials)
    gain = "as shipped"
    if choice.config != choice.usual:
        gain = f"{choice.gain:.2f} of the shipped one's time"
    told = f"{_name(choice.place)}: {describe(choice.config)}, {gain}"
    return told + (f" ({failed} of {len(choice.trials)} did not run)" if failed else "")


def describe(config: LaunchConfig) -> str:
    """A configuration in words."""
    tile = f"{config.block_m}x{config.block_n}" if config.block_n else f"{config.block_m} rows"
    return f"{tile}, {config.num_warps} warps, {config.num_stages} stages"


def _label(config: LaunchConfig, call: str) -> str:
    return f"{call} with {describe(config)}"


def _name(place: Place) -> str:
    return f"sm_{place.architecture} {place.form}, width {place.width}"


def _fault(workload: Workload, config: LaunchConfig, expected: Mapping[str, Any]) -> str | None:
    """Why ``config`` cannot be used; None where it runs and is right."""
    for name, call in workload.calls.items():
        try:
            actual = _with(workload.place, config, call)()
        # A pass of the compiler that fails raises a bare RuntimeError.
        except (TritonError, RuntimeError) as error:
            first = (str(error).splitlines() or [""])[0]
            return f"{name}: {type(error).__name__}: {first}"
        if not _agree(actual, expected[name]):
            return f"{name}: the result is not that of the shipped configuration"
    return None


def _with(place: Place, config: LaunchConfig, call: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with trying((place,), config):
            return call()

    return run


def _agree(actual: Tensor | Sequence[Tensor], expected: Tensor | Sequence[Tensor]) -> bool:
    if isinstance(actual, Tensor) and isinstance(expected, Tensor):
        actual, expected = (actual,), (expected,)
    allowed = ROUNDINGS * torch.finfo(torch.bfloat16).eps
    return all(
        bool((got.float() - true.float()).abs().max() <= allowed * true.abs().max().float())
        for got, true in zip(actual, expected, strict=True)
        if true.numel()
    )


def _told(choice: Choice) -> dict[str, Any]:
    return choice.place._asdict() | {
        "chosen": asdict(choice.config),
        "gain": choice.gain,
        "trials": [asdict(trial) | {"relative": choice.relative(trial)} for trial in choice.trials],
    }
