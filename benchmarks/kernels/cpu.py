"""Times the operations on a CPU against torch: ``python benchmarks/kernels/cpu.py --out FILE``.

One process; in every repeat all providers run one after the other, so that whatever disturbs the
machine disturbs all of them. Ratios are of medians. Every provider computes the same function: the
dense bias of ``scaled_dot_product_attention`` is the layout bias written out, and the folded keys
are the same text. Beside the time of the clock stands the time of the processor, which a busy
neighbour changes less. Each row names the operators that ran, and so torch's choice of a kernel,
and has its error against float64 and its peak memory.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels.comparing import kernels_of
from benchmarks.kernels.cpu_errors import MapErrors, TextErrors
from benchmarks.kernels.provenance import commit, processor
from benchmarks.kernels.shapes import REAL_KEYS, SHAPES, Shape
from benchmarks.kernels.text_attention import TextAttention
from numina_kernels import (
    AttentionMap,
    biased_attention,
    biased_attention_with_probs,
    token_probs,
)
from numina_kernels.impl import Impl, is_installed
from numina_kernels.testing import make_qkv

# The frames that are taken of each model: one and three latent frames, and a whole video.
FRAMES = {
    "wan-1.3b-480p": (1, 3, 21),
    "wan-14b-480p": (1,),
    "wan-ti2v-5b-704p": (1, 3),
    "wan-1.3b-720p": (1,),
    "wan-14b-720p": (1,),
    "cogvideox-5b-480p": (1,),
}
TINY = Shape("tiny", 12, 128, 1, 100, 512)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SKETCH_COLUMNS = 16
# A map of one frame's self-attention has no more; that of a whole video is nobody's question.
MOST_PATCHES = 4680
# Numerator, denominator: what a reader asks. "cpu" is the C++.
RATIOS = {
    "biased / SDPA with dense bias": ("cpu biased", "sdpa dense bias"),
    "biased / SDPA plain": ("cpu biased", "sdpa"),
    "biased / unbiased": ("cpu biased", "cpu"),
    "biased / eager": ("cpu biased", "eager biased"),
    "biased and probs / biased": ("cpu biased and probs", "cpu biased"),
    "biased and probs / eager": ("cpu biased and probs", "eager biased and probs"),
    "folded / unfolded": ("cpu folded", "cpu biased"),
    "folded / SDPA folded with dense bias": ("cpu folded", "sdpa folded dense bias"),
    "folded / eager": ("cpu folded", "eager folded"),
    "folded and probs / eager": ("cpu folded and probs", "eager folded and probs"),
    "token probs / eager": ("cpu token probs", "eager token probs"),
    "map apply / eager": ("cpu map apply", "eager map apply"),
    "map apply transposed / eager": ("cpu map apply transposed", "eager map apply transposed"),
}


def sizes() -> dict[str, Shape]:
    """Every shape that can be timed, by the name that a result gives it."""
    found = {TINY.name: TINY}
    for shape in SHAPES:
        for frames in FRAMES.get(shape.name, ()):
            some = f" {frames} frame{'s' * (frames > 1)}" if frames < shape.frames else ""
            found[shape.name + some] = replace(shape, frames=frames)
    return found


@dataclass(frozen=True)
class Case:
    """Cross-attention to a padded text, and the same with the padding folded; or joint attention.

    ``errors`` are those of either: both are one function. In a joint attention nothing is folded,
    for its keys are those of the video, too.
    """

    whole: TextAttention
    folded: TextAttention | None
    errors: TextErrors

    @classmethod
    def make(cls, shape: Shape, dtype: torch.dtype) -> "Case":
        sizes = (shape.queries, shape.keys, shape.heads, shape.head_dim)
        if shape.joint:
            whole = TextAttention.make(*sizes, dtype=dtype)
            return cls(whole, None, TextErrors(whole))
        whole = TextAttention.make(*sizes, real_keys=REAL_KEYS, dtype=dtype)
        return cls(whole, whole.folded(REAL_KEYS), TextErrors(whole))


@dataclass(frozen=True)
class Timed:
    """One way to one result.

    Attributes:
        call: What is timed; returns its result first, where it has several.
        error: Tells the largest error of that result.
    """

    call: Callable[[], Any]
    error: Callable[[Tensor], float]

    def __call__(self) -> Any:
        return self.call()


def providers(shape: Shape, case: Case) -> dict[str, Timed]:
    """All that is timed of a shape, whose attention to a text is ``case``."""
    found = _sdpa(case)
    for impl in (Impl.CPU, Impl.EAGER):
        found |= _ours(impl, case)
    # A joint map has no frames of its own.
    if shape.queries <= MOST_PATCHES and not shape.joint:
        found |= _maps(shape, case.whole.query.dtype)
    return found


def _sdpa(case: Case) -> dict[str, Timed]:
    # Written out before anything is measured: to a rival the dense bias is an input.
    whole, dense = case.whole, case.whole.dense

    def sdpa(inputs: TextAttention, dense: Tensor | None) -> Tensor:
        tensors = (tensor.transpose(1, 2) for tensor in (inputs.query, inputs.key, inputs.value))
        return F.scaled_dot_product_attention(*tensors, attn_mask=dense).transpose(1, 2)

    found = {
        "sdpa": Timed(lambda: sdpa(whole, None), case.errors.plain),
        "sdpa dense bias": Timed(lambda: sdpa(whole, dense), case.errors.biased),
    }
    if (folded := case.folded) is not None:
        call = partial(sdpa, folded, folded.dense)
        found["sdpa folded dense bias"] = Timed(call, case.errors.biased)
    return found


def _ours(impl: Impl, case: Case) -> dict[str, Timed]:
    whole, errors = case.whole, case.errors
    tensors = (whole.query, whole.key, whole.value)
    found = {
        f"{impl}": Timed(lambda: biased_attention(*tensors, impl=impl), errors.plain),
        f"{impl} token probs": Timed(
            lambda: token_probs(*tensors[:2], whole.groups, impl=impl), errors.probs
        ),
    }
    named = {f"{impl} biased": whole}
    if case.folded is not None:
        named[f"{impl} folded"] = case.folded
    for name, inputs in named.items():
        few = (inputs.query, inputs.key, inputs.value)
        call = partial(biased_attention, *few, inputs.bias, impl=impl)
        fused = partial(biased_attention_with_probs, *few, inputs.groups, inputs.bias, impl=impl)
        found |= {
            name: Timed(call, errors.biased),
            f"{name} and probs": Timed(fused, errors.biased),
        }
    return found


def _maps(shape: Shape, dtype: torch.dtype) -> dict[str, Timed]:
    """Products of a sketch with one self-attention map."""
    patches = shape.queries
    query, key, _ = make_qkv(1, patches, patches, shape.heads, shape.head_dim, dtype=dtype)
    columns = torch.randn(1, patches, shape.heads, SKETCH_COLUMNS)
    errors = MapErrors(query, key, columns)
    found: dict[str, Timed] = {}
    for impl in (Impl.CPU, Impl.EAGER):
        attention = AttentionMap(query, key, impl=impl)
        _ = attention.lse
        found |= {
            f"{impl} map apply": Timed(partial(attention.apply, columns), errors.product),
            f"{impl} map apply transposed": Timed(
                partial(attention.apply_transposed, columns), errors.transposed
            ),
        }
    return found


def looked_at(timed: Timed) -> dict[str, Any]:
    """The error of a call and the operators that ran, torch's choice of a kernel among them."""
    result = timed()
    result = result if isinstance(result, Tensor) else result[0]
    return {"max_error": timed.error(result), "kernels": kernels_of(timed, torch.device("cpu"))}


def peak_of(name: str, shape: str, dtype: str) -> int | None:
    """Bytes that one call had resident beyond its inputs; None where that is not to be had.

    Measured in a process of its own, in which freed memory goes back at once: a buffer that an
    earlier call left behind would hide what this one needs.
    """
    if not Path("/proc/self/status").exists():
        return None
    done = subprocess.run(
        [sys.executable, __file__, "--peak", name, "--of", shape, "--dtype", dtype],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"},
    )
    return int(done.stdout)


def _print_peak(name: str, shape: str, dtype: str) -> None:
    size = sizes()[shape]
    timed = providers(size, Case.make(size, DTYPES[dtype]))[name]
    # Forget the largest size so far.
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    result = timed()
    print(_resident("VmHWM") - before)
    del result


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def measure(calls: dict[str, Timed], repeats: int) -> dict[str, dict[str, Any]]:
    """Time all calls in turn, ``repeats`` times; they are warm from being looked at."""
    rows: dict[str, dict[str, Any]] = {name: {"seconds": [], "cpu_seconds": []} for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            rows[name]["seconds"].append(time.perf_counter() - wall)
            rows[name]["cpu_seconds"].append(time.process_time() - processor)
    return rows


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Medians of one run against each other, by the clock and by the processor."""
    return {
        title: {
            clock: statistics.median(rows[above][clock]) / statistics.median(rows[below][clock])
            for clock in ("seconds", "cpu_seconds")
        }
        for title, (above, below) in RATIOS.items()
        if above in rows and below in rows
    }


def run(names: Sequence[str], repeats: int, with_peaks: bool) -> list[dict[str, Any]]:
    """All shapes and dtypes; prints the ratios as they come."""
    results = []
    for shape_name in names:
        shape = sizes()[shape_name]
        for name, dtype in DTYPES.items():
            case = Case.make(shape, dtype)
            calls = providers(shape, case)
            looks = {each: looked_at(call) for each, call in calls.items()}
            rows = measure(calls, repeats)
            for each, row in rows.items():
                row |= looks[each]
                if with_peaks:
                    row["peak_bytes"] = peak_of(each, shape_name, name)
            results.append(
                {
                    "shape": shape_name, "dtype": name, "queries": shape.queries,
                    "keys": shape.keys,
                    "folded_keys": None if case.folded is None else case.folded.key.shape[1],
                    "heads": shape.heads, "head_dim": shape.head_dim,
                    "dense_bias_bytes": case.whole.dense.nbytes,
                    "ratios": ratios(rows), "rows": rows,
                }
            )  # fmt: skip
            _print(results[-1])
    return results


def _print(result: dict[str, Any]) -> None:
    print(f"\n{result['shape']}, {result['dtype']}: wall clock / processor time")
    for title, ratio in result["ratios"].items():
        print(f"  {ratio['seconds']:6.3f} / {ratio['cpu_seconds']:6.3f}  {title}", flush=True)
    for name, row in result["rows"].items():
        if row.get("peak_bytes") is not None:
            print(f"  {row['peak_bytes'] / 2**20:15.1f} MiB  {name}")
    print(f"  {result['dense_bias_bytes'] / 2**20:15.1f} MiB  the dense bias itself")


def provenance(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a figure depends on, without a word about whose machine it is."""
    from numina_kernels.cpu.extension import INSTRUCTION_SETS

    return {
        "command": "python benchmarks/kernels/cpu.py " + " ".join(sys.argv[1:]),
        "device": processor(),
        "instruction_set": INSTRUCTION_SETS[0],
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "repeats": arguments.repeats,
        "versions": {"python": platform.python_version(), "torch": metadata.version("torch")},
        **commit(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="result file; must not exist")
    parser.add_argument("--tiny", action="store_true", help="a shape that only shows it runs")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--shape", choices=FRAMES, nargs="+", help="only these models; all by default"
    )
    parser.add_argument("--queries", type=int, help="only shapes with so many queries")
    parser.add_argument("--threads", type=int, help="threads of torch; all cores by default")
    parser.add_argument("--no-peaks", action="store_true", help="measure no memory")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--of", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if not is_installed(Impl.CPU):
        parser.error("the C++ extension is not built: pip install --no-build-isolation -e .")
    if parsed.out is not None and parsed.out.exists():
        parser.error(f"{parsed.out} exists: result files are added, never overwritten")
    if parsed.threads is not None:
        torch.set_num_threads(parsed.threads)

    if parsed.peak is not None:
        _print_peak(parsed.peak, parsed.of, parsed.dtype)
        return

    shapes = {
        name: shape
        for name, shape in sizes().items()
        if (name == TINY.name) == parsed.tiny
        and (parsed.shape is None or shape.name in parsed.shape)
        and parsed.queries in (None, shape.queries)
    }
    if not shapes:
        known = [f"{name}: {shape.queries}" for name, shape in sizes().items()]
        models = ", ".join(parsed.shape or ["any model"])
        parser.error(
            f"there is no shape of {models} with {parsed.queries} queries; choose from {known}"
        )
    result = provenance(parsed)
    with torch.no_grad():
        result["results"] = run(list(shapes), parsed.repeats, not parsed.no_peaks)
    if parsed.out is not None:
        parsed.out.parent.mkdir(parents=True, exist_ok=True)
        parsed.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
