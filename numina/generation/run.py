"""Call the user's pipeline, once or again from the same noise, and leave no trace on it."""

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

import torch
from torch import Tensor, nn

from numina.attend import Attend, Moment, Watch, num_branches
from numina.combination import Combination
from numina.errors import ScheduleError
from numina.integrations import LoopClock, Site, adapter_for, attached, empty_caches, noise_scale
from numina.record import Cost


class StopRunError(BaseException):
    """Ends a pipeline call from inside a layer. No handler of errors is meant to catch it."""


def denoisers(pipe: Any) -> tuple[nn.Module, ...]:
    """The transformers of a pipeline: one, or two where each serves its own noise levels."""
    found = (getattr(pipe, name, None) for name in ("transformer", "transformer_2"))
    return tuple(model for model in found if model is not None)


@dataclass(frozen=True)
class Attempt:
    """One call of the pipeline, finished or stopped.

    Attributes:
        output: What the pipeline returned, or None where it was stopped.
        cost: Its forwards and seconds.
    """

    output: Any
    cost: Cost


class PipelineRun:
    """A pipeline call that can be made again from the same noise.

    The prompt is encoded once, generators (or the global ones) start every attempt from the same
    state, and after every attempt the transformers hold their own processors again.

    Args:
        pipe: A diffusers pipeline.
        call: Its keyword arguments.
        videos: Videos that it makes.
        on_encoded: Called once with the prompt embeddings of the conditional pass, ``[B, K, C]``.

    Raises:
        ScheduleError: If ``num_inference_steps`` is no positive integer.
        UnsupportedModelError: If guidance could not follow the call.
    """

    def __init__(
        self,
        pipe: Any,
        call: Mapping[str, Any],
        videos: int = 1,
        on_encoded: Callable[[Tensor], None] | None = None,
    ) -> None:
        self._pipe = pipe
        self._call = dict(call)
        self._on_encoded = on_encoded
        self._encoded: list[Any] = []
        self._random = _RandomState(self._call.get("generator"))
        self._videos = videos
        self._seconds_before = 0.0
        _check_steps(call)
        self._models = denoisers(pipe)
        for model in self._models:
            adapter_for(model).check(model, call)
        self._scale = noise_scale(pipe.scheduler)
        self._adapter = adapter_for(self._models[0])
        self.num_layers = self._adapter.num_layers(self._models[0])

    @cached_property
    def noises(self) -> tuple[float, ...]:
        """Noise level of every step that the pipeline is going to take.

        Pipelines hand their schedulers different things: a number of steps, levels of their own, a
        shift that depends on the length of the sequence. So the call is made up to there, with a
        copy of the scheduler; of its work, the encoded prompt is kept.

        Raises:
            ScheduleError: If the pipeline never sets its scheduler.
        """
        started = time.perf_counter()
        scheduler = copy.deepcopy(self._pipe.scheduler)
        set_timesteps = scheduler.set_timesteps

        # Pipelines look at the signature before they pass what not every scheduler takes.
        @wraps(set_timesteps)
        def set_and_stop(*args: Any, **kwargs: Any) -> None:
            set_timesteps(*args, **kwargs)
            raise StopRunError

        scheduler.set_timesteps = set_and_stop
        with self._attached({}), _replaced(self._pipe, "scheduler", scheduler):
            try:
                self._pipe(**self._call)
            except StopRunError:
                self._pipe.maybe_free_model_hooks()
            else:
                raise ScheduleError(
                    f"{type(self._pipe).__name__} ran without setting its scheduler's timesteps, "
                    "so its noise levels are not known; call set_timesteps in it"
                )
        self._random.restore()
        self._seconds_before = time.perf_counter() - started
        return self._scale.levels(scheduler)

    def from_noise(self, generator: torch.Generator) -> "PipelineRun":
        """The same call from other noise: prompt and noise levels are not worked out again."""
        _ = self.noises
        other = copy.copy(self)
        self._seconds_before = 0.0
        other._call = {**self._call, "generator": generator}
        other._random = _RandomState(generator)
        return other

    def combination(self) -> Combination:
        """How the pipeline combines the passes of the step at hand."""
        return self._adapter.combination(self._pipe, self._call)

    def attempt(
        self,
        attends: Mapping[Site, Attend],
        description: str,
        watch: Watch | None = None,
    ) -> Attempt:
        """Call the pipeline with our attention attached.

        Args:
            attends: The attention function of each site.
            description: Shown on the pipeline's progress bar.
            watch: Called with every forward pass's latents and prediction.
        """
        self._random.restore()
        # The prompt may have been encoded before, which belongs to the first attempt.
        started = time.perf_counter() - self._seconds_before
        self._seconds_before = 0.0
        output, stopped_after = None, None
        with self._attached(attends, watch) as clocks, _described(self._pipe, description):
            try:
                output = self._pipe(**self._call)
            except BaseException as ended:
                # The pipeline did not come to it. A cache would carry what it kept of this run
                # into the next one.
                self._pipe.maybe_free_model_hooks()
                if not isinstance(ended, StopRunError):
                    raise
                stopped_after = ended.args[0] if ended.args else None
        forwards = float(sum(clock.forwards for clock in clocks))
        if stopped_after is not None:
            # The forward in which we stopped ran up to its layer l* only.
            left_out = 1 - (stopped_after.layer + 1) / self.num_layers
            forwards -= num_branches(stopped_after.branch) * left_out
        return Attempt(output, Cost(forwards, time.perf_counter() - started))

    def empty_caches(self) -> None:
        """Let every layer attend in the next step, whatever a cache would have it skip."""
        for model in self._models:
            empty_caches(model)

    @contextmanager
    def _attached(
        self, attends: Mapping[Site, Attend], watch: Watch | None = None
    ) -> Iterator[list[LoopClock]]:
        """Hold every transformer, and encode the prompt no second time."""
        with ExitStack() as undo:
            clocks = [
                undo.enter_context(
                    attached(
                        model,
                        attends,
                        adapter_for(model),
                        watch,
                        noise_scale=self._scale,
                        videos=self._videos,
                    )
                )
                for model in self._models
            ]
            undo.enter_context(self._encoding_once())
            yield clocks

    @contextmanager
    def _encoding_once(self) -> Iterator[None]:
        """Hide ``pipe.encode_prompt`` behind what it returned to the first attempt, call by call.

        Most pipelines call it once. HunyuanVideo calls it again for the negative prompt.
        """
        stock, calls = self._pipe.encode_prompt, itertools.count()

        def encode_prompt(*args: Any, **kwargs: Any) -> Any:
            at = next(calls)
            if at == len(self._encoded):
                with torch.no_grad():
                    self._encoded.append(stock(*args, **kwargs))
                if at == 0 and self._on_encoded is not None:
                    self._on_encoded(self._encoded[0][0])
            return self._encoded[at]

        with _replaced(self._pipe, "encode_prompt", encode_prompt):
            yield


def stop_at(moment: Moment) -> StopRunError:
    """The exception that ends the run at a moment."""
    return StopRunError(moment)


def _check_steps(call: Mapping[str, Any]) -> None:
    steps = call.get("num_inference_steps", 1)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ScheduleError(f"num_inference_steps must be a positive integer, got {steps!r}")


class _RandomState:
    """The random state from which every attempt starts: of given generators and the global ones.

    A pipeline may draw from both: LTX gives its scheduler no generator.
    """

    def __init__(self, generator: torch.Generator | list[torch.Generator] | None) -> None:
        given = [generator] if isinstance(generator, torch.Generator) else (generator or [])
        self._given = [(each, each.get_state()) for each in given]
        self._global = torch.get_rng_state()
        self._devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None

    def restore(self) -> None:
        for generator, state in self._given:
            generator.set_state(state)
        torch.set_rng_state(self._global)
        if self._devices is not None:
            torch.cuda.set_rng_state_all(self._devices)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Put an instance attribute in the way of ``name``, and what was there back again."""
    attributes = vars(owner)
    kept = {name: attributes[name]} if name in attributes else {}
    # A pipeline's own __setattr__ would write the value into its configuration.
    attributes[name] = value
    try:
        yield
    finally:
        del attributes[name]
        attributes.update(kept)


@contextmanager
def _described(pipe: Any, description: str) -> Iterator[None]:
    """Name the pass on the progress bar, as long as the user's settings do not."""
    settings = getattr(pipe, "_progress_bar_config", None)
    pipe.set_progress_bar_config(**{"desc": description, **(settings or {})})
    try:
        yield
    finally:
        if settings is None:
            del pipe._progress_bar_config
        else:
            pipe._progress_bar_config = settings
