"""Stages about repetition: the same bits again, CUDA graphs, how often something is compiled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from benchmarks.kernels.bench import OUT_OF_TIME, Bench, Deadline, Row, reason
from benchmarks.kernels.shapes import REAL_KEYS
from benchmarks.kernels.text_attention import TextAttention
from numina_kernels import (
    AttentionMap,
    LayoutBias,
    biased_attention,
    biased_attention_with_probs,
    token_probs,
)
from numina_kernels.testing import make_qkv
from numina_kernels.timing import take_turns

Operation = Callable[[], tuple[Tensor, ...]]

STRENGTHS = (0.0, 0.25, 1.0, 1.75, 0.0, 1.0)
STEPS = 50
MOST_COMPILES = 2
RUNS = 2


def repeats(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """Two runs on inputs made anew, each of many repeats: all must have the same bits."""
    for name in operations(bench)[0]:
        if deadline.over:
            yield {"operation": name, "skipped": OUT_OF_TIME}
            continue
        firsts, differing, done = [], 0, 0
        for _ in range(RUNS):
            run = operations(bench)[0][name]
            first = run()
            for _ in range(bench.bit_repeats):
                differing += not _same(run(), first)
                done += 1
            firsts.append(first)
        yield {
            "operation": name,
            "runs": RUNS,
            "repeats": done,
            "differing_repeats": differing,
            "runs_equal": _same(*firsts),
            "passed": differing == 0 and _same(*firsts),
        }


def graphs(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """Every operation captured once and replayed while the strength changes in place."""
    if not bench.on_gpu:
        yield {"skipped": "CUDA graphs need a CUDA device"}
        return
    for name in operations(bench)[0]:
        if deadline.over:
            yield {"operation": name, "skipped": OUT_OF_TIME}
            continue
        calls, strength = operations(bench)
        try:
            yield {"operation": name} | _replayed(calls[name], strength, bench)
        # The other operations shall still be looked at.
        except Exception as error:
            yield {"operation": name, "passed": False, "reason": reason(error)}


def _replayed(run: Operation, strength: Tensor, bench: Bench) -> Row:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run()
    equal = {}
    for position, value in enumerate(STRENGTHS):
        strength.fill_(value)
        for output in outputs:
            output.fill_(float("nan"))
        graph.replay()
        equal[f"{position}: {value}"] = _same(outputs, run())
    samples = take_turns({"call": run, "replay": graph.replay}, bench.device, repeats=bench.repeats)
    return {"equal_to_call": equal, "seconds": samples, "passed": all(equal.values())}


def compiles(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """What is compiled over many steps of another strength each."""
    yield _kernels_built(bench)
    for name, in_place in (("filled in place", True), ("a new tensor", False)):
        if deadline.over:
            yield {"way": f"torch.compile, {name}", "skipped": OUT_OF_TIME}
            continue
        yield {"way": f"torch.compile, {name}"} | _graphs_compiled(bench, in_place)


def _kernels_built(bench: Bench) -> Row:
    inputs = _inputs(bench)
    row = {"way": "called", "steps": STEPS, "most": MOST_COMPILES}
    with _counting_kernels() as count:
        built = []
        for step in range(STEPS):
            inputs.bias.strength.fill_(step / STEPS)
            biased_attention(inputs.query, inputs.key, inputs.value, inputs.bias, impl=bench.impl)
            built.append(count())
    if not bench.on_gpu:
        return row | {"skipped": "no kernel is compiled on a CPU"}
    # Kernels of this shape may have been built by an earlier stage, so 0 is right as well.
    return row | {"compiled": built[-1], "passed": built[-1] <= MOST_COMPILES}


def _graphs_compiled(bench: Bench, in_place: bool) -> Row:
    inputs = _inputs(bench)

    def attend(query: Tensor, key: Tensor, value: Tensor, bias: LayoutBias) -> Tensor:
        return biased_attention(query * 2, key, value, bias, impl=bench.impl)[0] + 1

    torch._dynamo.reset()
    backend = "inductor" if bench.on_gpu else "aot_eager"
    counter = CompileCounterWithBackend(backend)
    run = torch.compile(attend, fullgraph=True, backend=counter)
    bias, worst = inputs.bias, 0.0
    for step in range(STEPS):
        strength = torch.tensor(step / STEPS, device=bench.device)
        if in_place:
            bias.strength.copy_(strength)
        else:
            bias = bias.with_strength(strength)
        tensors = (inputs.query, inputs.key, inputs.value, bias)
        worst = max(worst, (run(*tensors) - attend(*tensors)).abs().max().item())
    return {
        "backend": backend,
        "steps": STEPS,
        "most": MOST_COMPILES,
        "compiled": counter.frame_count,
        "largest_difference_from_uncompiled": worst,
        "passed": counter.frame_count <= MOST_COMPILES,
    }


@contextmanager
def _counting_kernels() -> Iterator[Callable[[], int | None]]:
    """Counts the kernels that Triton builds for launches; None where Triton is not there."""
    try:
        from triton import knobs
    except ImportError:
        yield lambda: None
        return
    built = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal built
        built += 1

    before = knobs.runtime.jit_post_compile_hook
    knobs.runtime.jit_post_compile_hook = count
    try:
        yield lambda: built
    finally:
        knobs.runtime.jit_post_compile_hook = before


def operations(bench: Bench) -> tuple[dict[str, Operation], Tensor]:
    """Every operation on inputs made anew, and the strength that their biases share."""
    inputs = _inputs(bench)
    folded, groups, bias = inputs.folded(REAL_KEYS), inputs.groups, inputs.bias
    tensors = (inputs.query, inputs.key, inputs.value)
    few, impl = (folded.query, folded.key, folded.value), bench.impl
    patches = 40 if bench.tiny else 1560
    image, other, columns = make_qkv(
        1, patches, patches, 2, 16 if bench.tiny else 128,
        dtype=bench.dtype, device=bench.device, seed=bench.seed,
    )  # fmt: skip
    attention = AttentionMap(image, other, impl=impl)
    lse, _ = biased_attention(*tensors, impl=impl)[1], attention.lse  # Later calls reuse both.
    calls: dict[str, Operation] = {
        "biased_attention": lambda: biased_attention(*tensors, bias, impl=impl),
        "biased_attention_with_probs": lambda: biased_attention_with_probs(
            *tensors, groups, bias, impl=impl
        ),
        "biased_attention_with_probs, folded": lambda: biased_attention_with_probs(
            *few, folded.groups, folded.bias, impl=impl
        ),
        "token_probs": lambda: (token_probs(*tensors[:2], groups, impl=impl),),
        "token_probs, known lse": lambda: (token_probs(*tensors[:2], groups, lse=lse, impl=impl),),
        "attention_map_lse": lambda: (AttentionMap(image, other, impl=impl).lse,),
        "attention_map_apply": lambda: (AttentionMap(image, other, impl=impl).apply(columns),),
        "attention_map_reapply": lambda: (attention.apply(columns),),
        "attention_map_apply_transposed": lambda: (attention.apply_transposed(columns),),
    }
    return calls, bias.strength


def _inputs(bench: Bench) -> TextAttention:
    queries, keys, heads, head_dim = (40, 80, 2, 16) if bench.tiny else (4096, 512, 8, 128)
    return TextAttention.make(
        queries, keys, heads, head_dim, real_keys=REAL_KEYS, dtype=bench.dtype,
        device=bench.device, seed=bench.seed,
    )  # fmt: skip


def _same(some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))
