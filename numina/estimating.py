"""estimate(): what looking and guiding will take beside the plain run, before anything runs."""

import copy
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numina.attention.accounting import (
    Machine,
    Part,
    Peak,
    RunSize,
    clean_latent_peak,
    guidance_peak,
    look_host_peak,
    look_peak,
    plan_peak,
    prediction_peak,
    sketch_peak,
)
from numina.attention.extra_work import attention_flops, guidance_flops, look_flops, sketch_flops
from numina.errors import PromptError
from numina.generation.look_steps import verdict_step
from numina.generation.request import Counts, default_of, resolve_request
from numina.generation.run import denoisers
from numina.guidance.whole_layout import ClassTargets
from numina.identify.sketch import SketchSpec
from numina.integrations import adapter_for, noise_scale
from numina.integrations.sizes import default_call_size, latent_numbers, model_size, video_grid
from numina.methods.method import Method, Mode
from numina.methods.paper import Paper
from numina.methods.presets import method_named
from numina.methods.robust import Robust
from numina.pipeline import settled_mode
from numina.prompt.counts import Policy
from numina_kernels.impl import Impl, resolve

# Columns of the table.
_WIDTH = 72


@dataclass(frozen=True)
class Forwards:
    """Transformer forwards of a run, those of the plain run being 1.

    Attributes:
        right: Where the count is right, or nothing can be done.
        wrong: Where it is wrong, at most; None where the noise levels of the steps are not known.
        look: Of it, what lies before the decision.
    """

    right: float
    wrong: float | None
    look: float | None


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a run.

    Attributes:
        plain: Of the attention of the plain run; what else it does is not counted.
        looks: Of all looks, the sketches of self-attention included.
        guidance: Of guidance in all steps that may be guided.
    """

    plain: int
    looks: int
    guidance: int

    @property
    def share(self) -> float:
        """Extra work beside the attention of the plain run; beside all of it, it is less."""
        return (self.looks + self.guidance) / self.plain


@dataclass(frozen=True)
class Estimate:
    """What looking and guiding take beside the plain run, at most.

    Attributes:
        size: What attends.
        machine: Who computes.
        method: Name of the method.
        mode: ``"one-pass"`` or ``"restart"``.
        clean: Held throughout for the clean latent.
        prediction: Held while it is worked out.
        plan: Held from the first guided layer on.
        look: Held while a layer is looked at.
        heads: Held while self-attention is sketched, where the method does so.
        guidance: Held while a layer is guided.
        host: Held in the host's memory at a look.
        work: Operations of the run.
        forwards: Forward passes of the run.
        note: What the figures leave out; empty where nothing.
    """

    size: RunSize
    machine: Machine
    method: str
    mode: Mode
    clean: Peak
    prediction: Peak
    plan: Peak
    look: Peak
    heads: Peak
    guidance: Peak
    host: Peak
    work: Work
    forwards: Forwards
    note: str = ""

    @property
    def device_bytes(self) -> int:
        """Bytes that the device's peak may rise by: what is held, and the most of what passes.

        On a CPU those of the host come on top.
        """
        held = self.clean.bytes + self.plan.bytes
        passing = (self.prediction, self.look, self.heads, self.guidance)
        return held + max(peak.bytes for peak in passing)

    @property
    def host_bytes(self) -> int:
        """Bytes that the peak of the host's memory may rise by."""
        return self.host.bytes

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def estimate(
    pipe: Any,
    prompt: str | Sequence[str] | None = None,
    *,
    counts: Counts = "auto",
    nouns: int = 1,
    noun_keys: int | None = None,
    preset: str | Method = "robust",
    mode: Mode | None = None,
    rounds: int = 1,
    policy: Policy = "subjects",
    noises: Sequence[float] | None = None,
    machine: Machine | None = None,
    **call: Any,
) -> Estimate:
    """Account for the memory and the work that ``generate`` adds to a call of the pipeline.

    Only sizes are read, nothing runs: the pipeline may lie on the meta device, without weights.
    Every figure is an upper bound. The device's peak rises by ``device_bytes`` at most, and by less
    where the plain run has its own peak elsewhere, such as in the decoder.

    Args:
        pipe: A diffusers pipeline over a transformer that numina has an adapter for.
        prompt: As for ``generate``; its counts say how many nouns there are. None to give
            ``nouns`` instead.
        counts: As for ``generate``.
        nouns: Counted nouns, where there is no prompt.
        noun_keys: Text keys that name them; by default two each.
        preset: As for ``generate``.
        mode: As for ``generate``.
        rounds: As for ``generate``.
        policy: As for ``generate``.
        noises: Noise level of every step; by default those the scheduler itself sets. Needed for
            the forwards of restart mode where a pipeline makes its own (LTX-Video, Mochi).
        machine: Who computes; by default the best implementation for the pipeline's device, and
            Triton on a GPU for the meta device.
        **call: The pipeline's own arguments: ``height``, ``width``, ``num_frames``,
            ``num_inference_steps``, ``num_videos_per_prompt``, ``max_sequence_length``.

    Returns:
        Figures, and as ``str`` a table of them.

    Raises:
        PromptError: If the prompt names no count: it would be run plainly.
        ValueError: If a size is not positive, or the pipeline has no default for one left out.
        UnsupportedModelError: If numina has no adapter for the transformer.
        NuminaError: As ``generate``, for the prompt.
    """
    method = method_named(preset) if isinstance(preset, str) else preset
    mode = settled_mode(mode, method)
    transformer = denoisers(pipe)[0]
    adapter = adapter_for(transformer)
    videos = int(call.get("num_videos_per_prompt", 1))
    if prompt is not None:
        request = resolve_request(pipe, prompt, counts, policy, adapter, call)
        nouns, videos = request.num_nouns, len(request.rows)
        if nouns == 0:
            raise PromptError(
                f"no count was found in {prompt!r}, so it would be run plainly; say what to "
                'count, e.g. counts={"cats": 3}'
            )
        noun_keys = max(sum(map(len, row.positions)) for row in request.rows)
    model = model_size(transformer)
    sizes = default_call_size(pipe, *(call.get(name) for name in ("height", "width", "num_frames")))
    text = call.get("max_sequence_length", default_of(pipe, "max_sequence_length", 512))
    size = RunSize(
        grid=video_grid(pipe, sizes),
        text=text,
        heads=model.heads,
        head_dim=model.head_dim,
        layers=model.layers,
        joint=model.joint,
        both_branches=model.both_branches,
        videos=videos,
        nouns=nouns,
        noun_keys=min(2 * nouns, text) if noun_keys is None else noun_keys,
        itemsize=model.itemsize,
    )
    machine = machine or _machine_of(pipe, transformer)
    steps = call.get("num_inference_steps", default_of(pipe, "num_inference_steps", 50))
    levels = tuple(noises) if noises is not None else _own_levels(pipe.scheduler, steps)
    if len(levels or ()) not in (0, steps):
        raise ValueError(f"noises must be the levels of {steps} steps, got {len(levels or ())}")
    return accounted(
        size,
        machine,
        method,
        mode,
        rounds=rounds,
        steps=steps,
        noises=levels,
        latents=videos * latent_numbers(pipe, sizes),
    )


def accounted(
    size: RunSize,
    machine: Machine,
    method: Method,
    mode: Mode,
    *,
    rounds: int,
    steps: int,
    noises: Sequence[float] | None,
    latents: int,
) -> Estimate:
    """Account for a run of a known size.

    Args:
        size: What attends.
        machine: Who computes.
        method: Who looks and guides.
        mode: When guidance sets in.
        rounds: Guided runs of restart mode.
        steps: Denoising steps.
        noises: Noise level of each of them, or None.
        latents: Numbers of the latents of all videos.
    """
    captured = len(method.capture.cross_layers(size.layers))
    sketches = method.capture.features is not None
    samples, spec = _samples(method), SketchSpec()
    return Estimate(
        size=size,
        machine=machine,
        method=method.name,
        mode=mode,
        clean=clean_latent_peak(latents),
        prediction=prediction_peak(latents),
        plan=plan_peak(size, samples),
        look=look_peak(size, machine),
        heads=sketch_peak(size, machine, spec) if sketches else Peak(),
        guidance=guidance_peak(size, machine, samples),
        host=look_host_peak(size, captured),
        work=_work(size, method, mode, rounds, steps, noises, samples, spec),
        forwards=_forwards(size, method, mode, rounds, noises),
        note=_note(size, method),
    )


def _work(
    size: RunSize,
    method: Method,
    mode: Mode,
    rounds: int,
    steps: int,
    noises: Sequence[float] | None,
    samples: int,
    spec: SketchSpec,
) -> Work:
    captured = len(method.capture.cross_layers(size.layers))
    look = look_flops(size, captured)
    if method.capture.features is not None:
        look += sketch_flops(size, spec)
    looks = len(method.looks) if mode == "one-pass" else rounds + 1
    guided = steps
    if noises is not None:
        guided = sum(method.strength(noise, i / steps) > 0 for i, noise in enumerate(noises))
    guided *= 1 if mode == "one-pass" else rounds
    # Both branches of a step, as guided runs of large models have them.
    return Work(
        plain=2 * steps * attention_flops(size),
        looks=looks * look,
        guidance=guided * size.layers * guidance_flops(size, samples),
    )


def _forwards(
    size: RunSize, method: Method, mode: Mode, rounds: int, noises: Sequence[float] | None
) -> Forwards:
    if mode == "one-pass":
        return Forwards(1.0, 1.0, None)
    if noises is None:
        return Forwards(1.0, None, None)
    last = method.capture.cross_layers(size.layers)[-1] + 1
    # Of the forward that is stopped in; with passes of their own the conditional one comes first.
    begun = last / size.layers * (1.0 if size.both_branches else 0.5)
    look = (verdict_step(noises, method.verdict) + begun) / len(noises)
    return Forwards(1.0, rounds * look + 1.0, look)


def _own_levels(scheduler: Any, steps: int) -> tuple[float, ...] | None:
    """Noise levels of a scheduler that is given a number of steps and no more."""
    config = scheduler.config
    if getattr(config, "use_dynamic_shifting", False) or getattr(config, "invert_sigmas", False):
        return None
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps)
    return noise_scale(scheduler).levels(scheduler)


def _machine_of(pipe: Any, transformer: Any) -> Machine:
    device = getattr(pipe, "_execution_device", None) or next(transformer.parameters()).device
    if device.type == "meta":
        return Machine(Impl.TRITON, "cuda")
    return Machine(resolve(None, device.type), device.type)


def _samples(method: Method) -> int:
    if isinstance(method, Robust):
        return method.targets.samples
    return ClassTargets().samples


def _note(size: RunSize, method: Method) -> str:
    if not isinstance(method, Paper):
        return ""
    each = size.heads * size.head_dim * (size.itemsize + 4)
    return (
        f"The paper's guidance also copies queries of its templates, {each / 2**10:.0f} KiB for "
        "each of their patches."
    )


def _lines(estimate: Estimate) -> list[str]:
    size, machine = estimate.size, estimate.machine
    frames, rows, columns = size.grid.shape
    told = [
        f"{size.grid.tokens:,} patches ({frames} x {rows} x {columns}), {size.text} text keys, "
        f"{size.layers} layers",
        f"{size.heads} heads of {size.head_dim}, {8 * size.itemsize} bits; "
        + ("text and video attend jointly" if size.joint else "cross-attention to the text"),
        f"{_number(size.videos, 'video')}, {_number(size.nouns, 'noun')} named by "
        f"{_number(size.noun_keys, 'text key')}; {estimate.method}, {estimate.mode}; "
        f"{machine.impl.value} on {machine.device_type}",
        "",
        _row(f"extra memory on {machine.device_type}, at most", estimate.device_bytes),
    ]
    groups = [
        ("held throughout", estimate.clean),
        ("held once guided", estimate.plan),
        ("passing: after a forward pass", estimate.prediction),
        ("passing: at a look", estimate.look),
        ("passing: head statistics", estimate.heads),
        ("passing: in a guided layer", estimate.guidance),
    ]
    for name, peak in groups:
        if peak.parts:
            told.append(_row(f"  {name}", peak.bytes))
            told += [_row(f"    {part.what}", part.bytes) for part in _largest(peak)]
    told.append(_row("extra memory of the host at a look, at most", estimate.host_bytes))
    forwards = estimate.forwards
    wrong = "unknown" if forwards.wrong is None else f"{forwards.wrong:.2f} x"
    told += [
        _cell("extra work, of the attention of the plain run", f"{estimate.work.share:.3%}"),
        _cell("forwards where the count is right", f"{forwards.right:.2f} x"),
        _cell("forwards where it is wrong, at most", wrong),
    ]
    return [*told, *textwrap.wrap(estimate.note, _WIDTH)]


def _largest(peak: Peak) -> list[Part]:
    """The parts that matter: those of at least a twentieth."""
    return [part for part in peak.parts if 20 * part.bytes >= peak.bytes > 0]


def _row(name: str, number: int) -> str:
    told = f"{number / 2**20:,.1f} MiB" if number >= 2**20 else f"{number / 2**10:,.1f} KiB"
    return _cell(name, told)


def _cell(name: str, told: str) -> str:
    return f"{name:<56}{told:>{_WIDTH - 56}}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
