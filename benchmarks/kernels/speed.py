"""Stages that take time: what the device can do, attention to a text, statistics of a map."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from benchmarks.kernels.bench import OUT_OF_TIME, Bench, Deadline, Row, free_memory, reason
from benchmarks.kernels.comparing import Judge, compare
from benchmarks.kernels.rivals import (
    Call,
    Provider,
    flex,
    sdpa,
    sdpa_dense,
    stored_probs,
    stored_sketch,
    xformers,
)
from benchmarks.kernels.shapes import REAL_KEYS, Shape
from benchmarks.kernels.text_attention import TextAttention, some_rows
from numina_kernels import (
    AttentionMap,
    biased_attention,
    biased_attention_with_probs,
    token_probs,
)
from numina_kernels.impl import Impl
from numina_kernels.testing import error_and_budget, make_qkv, score_rounding
from numina_kernels.timing import take_turns

# Queries whose error is measured: float64 scores of all of them would fill the memory.
CHECKED = 64
SKETCH_COLUMNS = 16
# Heads of the first frame whose sketch is held against float64.
CHECKED_HEADS = 2


def ceilings(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """Copy bandwidth and matrix products of this device: what times are held against."""
    size, side = (1 << 16, 128) if bench.tiny else (1 << 30, 8192)
    source = torch.empty(size, dtype=torch.int8, device=bench.device).fill_(1)
    target = torch.empty_like(source)
    # Zeros would multiply faster than numbers.
    left, right = (torch.randn(side, side, device=bench.device).to(bench.dtype) for _ in range(2))
    calls = {"copy": lambda: target.copy_(source), "matmul": lambda: left @ right}
    for call in calls.values():
        call()
    samples = take_turns(calls, bench.device, repeats=bench.repeats, seconds=deadline.left)
    work = {"copy": (2 * size, "bytes"), "matmul": (2 * side**3, "flop")}
    for name, (amount, unit) in work.items():
        median = statistics.median(samples[name])
        yield {
            "name": name,
            f"{unit}_per_call": amount,
            "seconds": samples[name],
            "median_seconds": median,
            f"{unit}_per_second": amount / median,
        }


def text(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """Attention that sees the text, of every shape: ours against the others."""
    return _each(_text, bench.shapes, bench, deadline)


def statistics_of_maps(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """A sketch of every frame's and head's map, against the self-attention of that layer."""
    # A joint map has no frames of its own.
    return _each(_maps, [shape for shape in bench.shapes if not shape.joint], bench, deadline)


def _each(
    look: Callable[[Shape, Bench, float], Row],
    shapes: Sequence[Shape],
    bench: Bench,
    deadline: Deadline,
) -> Iterator[Row]:
    """A row for every shape; the seconds left are shared by those still to come."""
    for index, shape in enumerate(shapes):
        row: Row = {"shape": shape.name} | asdict(shape) | {"keys": shape.keys}
        if deadline.over:
            yield row | {"skipped": OUT_OF_TIME}
            continue
        try:
            row |= look(shape, bench, deadline.left / (len(shapes) - index))
        # A shape that is too large for the card must not take the smaller ones with it.
        except Exception as error:
            row |= {"passed": False, "reason": reason(error)}
        free_memory(bench.device)
        yield row


def _text(shape: Shape, bench: Bench, seconds: float) -> Row:
    inputs, folded = text_inputs(shape, bench.dtype, bench.device, bench.seed)
    rows = compare(
        text_providers(bench.impl, inputs, folded),
        text_judge(inputs),
        bench.device,
        repeats=bench.repeats,
        seconds=seconds,
    )
    return {
        "folded_keys": None if folded is None else folded.key.shape[1],
        "dense_bias_bytes": shape.queries * shape.keys * inputs.query.element_size(),
        "rows": rows,
    }


def text_inputs(
    shape: Shape, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> tuple[TextAttention, TextAttention | None]:
    """What is compared for ``shape``, and the same with its padding folded where it has any."""
    inputs = TextAttention.make(
        shape.queries, shape.keys, shape.heads, shape.head_dim,
        real_keys=None if shape.joint else REAL_KEYS,
        dtype=dtype, device=device, seed=seed,
    )  # fmt: skip
    return inputs, None if shape.joint else inputs.folded(REAL_KEYS)


def text_providers(
    impl: Impl, inputs: TextAttention, folded: TextAttention | None
) -> list[Provider]:
    """The rivals and ours."""
    return [*_text_rivals(inputs, folded), *_ours(impl, inputs, folded)]


def _text_rivals(inputs: TextAttention, folded: TextAttention | None) -> Iterator[Provider]:
    yield from sdpa(inputs.query, inputs.key, inputs.value)
    yield from sdpa_dense(inputs)
    if folded is not None:
        yield from sdpa_dense(folded, "sdpa folded")
    yield flex(inputs)
    yield from xformers(inputs)
    yield stored_probs(inputs)


def _ours(impl: Impl, inputs: TextAttention, folded: TextAttention | None) -> Iterator[Provider]:
    tensors, groups, bias = (inputs.query, inputs.key, inputs.value), inputs.groups, inputs.bias
    yield Provider("numina", lambda: lambda: biased_attention(*tensors, impl=impl))
    yield Provider(
        "numina biased", lambda: lambda: biased_attention(*tensors, bias, impl=impl), bias="layout"
    )
    yield Provider(
        "numina biased and probs",
        lambda: lambda: biased_attention_with_probs(*tensors, groups, bias, impl=impl),
        bias="layout",
    )
    yield Provider(
        "numina probs",
        lambda: lambda: token_probs(inputs.query, inputs.key, groups, impl=impl),
        result="probs",
    )
    if folded is None:
        return
    few, few_groups = (folded.query, folded.key, folded.value), folded.groups
    yield Provider(
        "numina folded",
        lambda: lambda: biased_attention(*few, folded.bias, impl=impl),
        bias="layout",
        least_bytes=_least_bytes(folded),
    )
    yield Provider(
        "numina folded and probs",
        lambda: lambda: biased_attention_with_probs(*few, few_groups, folded.bias, impl=impl),
        bias="layout",
    )


def _least_bytes(inputs: TextAttention) -> int:
    """Every input read once, output and log-sum-exp written once."""
    batch, queries, heads, _ = inputs.query.shape
    read = (inputs.query, inputs.key, inputs.value, inputs.bias.labels)
    written = inputs.query.nbytes + 4 * batch * heads * queries
    return sum(tensor.nbytes for tensor in read) + written


def text_judge(inputs: TextAttention) -> Judge:
    """Errors of some rows against float64; the budget is that of plain torch on the same inputs."""
    chosen = some_rows(inputs.query.shape[1], CHECKED, inputs.query.device)
    cut = inputs.rows(chosen)
    exact = {biased: cut.exact(biased=biased) for biased in (False, True)}
    exact_probs = token_probs(cut.query.double(), cut.key.double(), cut.groups, impl=Impl.REFERENCE)

    rounding = score_rounding(cut.query, cut.key, cut.bias)
    floor = rounding * cut.value.abs().max().item()

    def judge(provider: Provider, output: Tensor) -> tuple[float, float]:
        if provider.result == "probs":
            plain = token_probs(cut.query, cut.key, cut.groups, impl=Impl.REFERENCE)
            actual = output.index_select(-1, chosen)
            return error_and_budget(actual, plain, exact_probs, floor=rounding)
        biased = provider.bias != "none"
        dense = provider.bias == "dense"
        plain = cut.plain_torch_dense() if dense else cut.plain_torch(biased=biased)
        actual = output.index_select(1, chosen)
        return error_and_budget(actual, plain, exact[biased], floor=floor)

    return judge


def _maps(shape: Shape, bench: Bench, seconds: float) -> Row:
    query, key, value = make_qkv(
        1, shape.video, shape.video, shape.heads, shape.head_dim,
        dtype=bench.dtype, device=bench.device, seed=bench.seed,
    )  # fmt: skip
    sizes = (shape.frames, shape.patches, shape.heads)
    frames = [each.view(*sizes, shape.head_dim) for each in (query, key)]
    columns = torch.randn(*sizes, SKETCH_COLUMNS, device=bench.device).to(bench.dtype)
    providers = [
        *sdpa(query, key, value),
        Provider("numina", _self_attention(bench.impl, query, key, value)),
        stored_sketch(*frames, columns),
        Provider("numina sketch", lambda: _sketch(bench.impl, *frames, columns)),
    ]
    judge = _judge_maps((query, key, value), frames, columns)
    rows = compare(providers, judge, bench.device, repeats=bench.repeats, seconds=seconds)
    return {"columns": SKETCH_COLUMNS, "rows": rows}


def _self_attention(impl: Impl, query: Tensor, key: Tensor, value: Tensor) -> Callable[[], Call]:
    return lambda: lambda: biased_attention(query, key, value, impl=impl)


def _sketch(impl: Impl, query: Tensor, key: Tensor, columns: Tensor) -> Call:
    def run() -> Tensor:
        attention = AttentionMap(query, key, impl=impl)
        return attention.apply(attention.apply_transposed(attention.apply(columns)))

    return run


def _judge_maps(
    whole: tuple[Tensor, Tensor, Tensor], frames: Sequence[Tensor], columns: Tensor
) -> Judge:
    query, key, value = whole
    chosen = some_rows(query.shape[1], CHECKED, query.device)
    heads = slice(0, CHECKED_HEADS)
    few = [each[:1, :, heads] for each in (*frames, columns)]

    def attended(dtype: torch.dtype) -> Tensor:
        some = query.index_select(1, chosen)
        tensors = (each[:, :, heads].to(dtype) for each in (some, key, value))
        return biased_attention(*tensors, impl=Impl.REFERENCE)[0]

    exact = attended(torch.float64)
    exact_sketch = _sketch(Impl.REFERENCE, *(each.double() for each in few))()
    rounding = score_rounding(*(each[:1, :, heads] for each in frames))

    def judge(provider: Provider, output: Tensor) -> tuple[float, float]:
        if "sketch" in provider.name:
            plain, floor = _sketch(Impl.REFERENCE, *few)(), rounding * columns.abs().max().item()
            return error_and_budget(output[:1, :, heads], plain, exact_sketch, floor=floor)
        actual, floor = output.index_select(1, chosen)[:, :, heads], rounding
        return error_and_budget(actual, attended(query.dtype), exact, floor=floor)

    return judge
