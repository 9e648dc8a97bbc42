"""Times the operations on a CPU against torch: ``python benchmarks/kernels/cpu.py --out FILE``.

One process; in every repeat all providers run one after the other, so that whatever disturbs the
machine disturbs all of them. Ratios are of medians. Every provider computes the same function: the
dense bias of ``scaled_dot_product_attention`` is the layout bias written out, and the folded keys
are the same text. Beside the time of the clock stands the time of the processor, which a busy
neighbour changes less.
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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels.provenance import commit, processor
from benchmarks.kernels.shapes import REAL_KEYS
from benchmarks.kernels.text_attention import TextAttention
from numina_kernels import (
    AttentionMap,
    biased_attention,
    biased_attention_with_probs,
    token_probs,
)
from numina_kernels.impl import Impl, is_installed
from numina_kernels.testing import make_qkv

HEADS, HEAD_DIM, KEYS = 12, 128, 512
# One and three latent frames of Wan-1.3B at 480p, and a whole video of 81 frames.
QUERIES = {"wan-1.3b-480p 1 frame": 1560, "wan-1.3b-480p 3 frames": 4680, "wan-1.3b-480p": 32760}
TINY = {"tiny": 100}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SKETCH_COLUMNS = 16
# A map of one frame's self-attention has no more; that of a whole video is nobody's question.
MOST_PATCHES = 4680
# Rows whose error is measured: float64 scores of all of them would fill the memory.
CHECKED = 128

# Whose peak memory is measured: each takes a process of its own. The dense bias is an input, and
# its size is told beside the rows.
PEAKS = (
    "sdpa dense bias",
    "cpu biased",
    "cpu biased and probs",
    "cpu folded and probs",
    "eager biased and probs",
    "eager folded and probs",
)

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


@dataclass(frozen=True)
class Case:
    """Cross-attention to a padded text, and the same with the padding folded."""

    whole: TextAttention
    folded: TextAttention

    @classmethod
    def make(cls, queries: int, dtype: torch.dtype) -> "Case":
        whole = TextAttention.make(queries, KEYS, HEADS, HEAD_DIM, real_keys=REAL_KEYS, dtype=dtype)
        return cls(whole, whole.folded(REAL_KEYS))


def providers(case: Case) -> dict[str, Callable[[], Any]]:
    """What is timed; each call returns the output first, where it has one."""
    whole, folded = case.whole, case.folded
    # Written out before anything is measured: to a rival the dense bias is an input.
    dense, folded_dense = whole.dense, folded.dense

    def sdpa(inputs: TextAttention, dense: Tensor | None) -> Tensor:
        tensors = (tensor.transpose(1, 2) for tensor in (inputs.query, inputs.key, inputs.value))
        return F.scaled_dot_product_attention(*tensors, attn_mask=dense).transpose(1, 2)

    calls: dict[str, Callable[[], Any]] = {
        "sdpa": lambda: sdpa(whole, None),
        "sdpa dense bias": lambda: sdpa(whole, dense),
        "sdpa folded dense bias": lambda: sdpa(folded, folded_dense),
    }
    for impl in (Impl.CPU, Impl.EAGER):
        calls |= _calls_of(impl, case)
    return calls


def _calls_of(impl: Impl, case: Case) -> dict[str, Callable[[], Any]]:
    whole, folded = case.whole, case.folded
    tensors = (whole.query, whole.key, whole.value)
    few = (folded.query, folded.key, folded.value)
    return {
        f"{impl}": lambda: biased_attention(*tensors, impl=impl),
        f"{impl} biased": lambda: biased_attention(*tensors, whole.bias, impl=impl),
        f"{impl} biased and probs": lambda: biased_attention_with_probs(
            *tensors, whole.groups, whole.bias, impl=impl
        ),
        f"{impl} token probs": lambda: token_probs(*tensors[:2], whole.groups, impl=impl),
        f"{impl} folded": lambda: biased_attention(*few, folded.bias, impl=impl),
        f"{impl} folded and probs": lambda: biased_attention_with_probs(
            *few, folded.groups, folded.bias, impl=impl
        ),
    }


def map_providers(patches: int, dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """Sketches of one frame's self-attention map."""
    query, key, _ = make_qkv(1, patches, patches, HEADS, HEAD_DIM, dtype=dtype)
    columns = torch.randn(1, patches, HEADS, SKETCH_COLUMNS)
    calls: dict[str, Callable[[], Any]] = {}
    for impl in (Impl.CPU, Impl.EAGER):
        attention = AttentionMap(query, key, impl=impl)
        _ = attention.lse
        calls |= {
            f"{impl} map apply": lambda attention=attention: attention.apply(columns),
            f"{impl} map apply transposed": lambda attention=attention: attention.apply_transposed(
                columns
            ),
        }
    return calls


def error_of(name: str, call: Callable[[], Any], case: Case) -> float | None:
    """Largest error of the first rows against float64; None for what gives no output."""
    output = call()
    if "map" in name or "token probs" in name:
        return None
    output = (output if isinstance(output, Tensor) else output[0])[:, :CHECKED].double()
    # The bias before it was rounded to a dtype: it is part of what a dense bias costs.
    first = case.whole.rows(torch.arange(output.shape[1]))
    exact = first.exact(biased="bias" in name or "folded" in name)
    return (output - exact).abs().max().item()


def peak_of(name: str, queries: int, dtype: str) -> int | None:
    """Bytes that one call had resident beyond its inputs; None where that is not to be had.

    Measured in a process of its own, in which freed memory goes back at once: a buffer that an
    earlier call left behind would hide what this one needs.
    """
    if not Path("/proc/self/status").exists():
        return None
    command = [
        sys.executable,
        __file__,
        "--peak",
        name,
        "--queries",
        str(queries),
        "--dtype",
        dtype,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"},
    )
    return int(done.stdout)


def _print_peak(name: str, queries: int, dtype: str) -> None:
    call = providers(Case.make(queries, DTYPES[dtype]))[name]
    # Forget the largest size so far.
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    result = call()
    print(_resident("VmHWM") - before)
    del result


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def measure(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, Any]]:
    """Time all calls in turn, ``repeats`` times; they are warm from the errors."""
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


def run(shapes: dict[str, int], repeats: int, with_peaks: bool) -> list[dict[str, Any]]:
    """All shapes and dtypes; prints the ratios as they come."""
    results = []
    for shape, queries in shapes.items():
        for name, dtype in DTYPES.items():
            case = Case.make(queries, dtype)
            calls = providers(case)
            if queries <= MOST_PATCHES:
                calls |= map_providers(queries, dtype)
            errors = {each: error_of(each, call, case) for each, call in calls.items()}
            rows = measure(calls, repeats)
            for each, row in rows.items():
                row["max_error"] = errors.get(each)
                if with_peaks and each in PEAKS:
                    row["peak_bytes"] = peak_of(each, queries, name)
            results.append(
                {
                    "shape": shape, "dtype": name, "queries": queries, "keys": KEYS,
                    "folded_keys": case.folded.key.shape[1], "heads": HEADS,
                    "head_dim": HEAD_DIM, "dense_bias_bytes": case.whole.dense.nbytes,
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
    parser.add_argument("--queries", type=int, help="only the shape with so many queries")
    parser.add_argument("--threads", type=int, help="threads of torch; all cores by default")
    parser.add_argument("--no-peaks", action="store_true", help="measure no memory")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if not is_installed(Impl.CPU):
        parser.error("the C++ extension is not built: pip install --no-build-isolation -e .")
    if parsed.out is not None and parsed.out.exists():
        parser.error(f"{parsed.out} exists: result files are added, never overwritten")
    if parsed.threads is not None:
        torch.set_num_threads(parsed.threads)

    if parsed.peak is not None:
        _print_peak(parsed.peak, parsed.queries, parsed.dtype)
        return

    shapes = TINY if parsed.tiny else QUERIES
    if parsed.queries is not None:
        shapes = {name: size for name, size in shapes.items() if size == parsed.queries}
    if not shapes:
        parser.error(f"--queries must be one of {list(QUERIES.values())}, got {parsed.queries}")
    result = provenance(parsed)
    with torch.no_grad():
        result["results"] = run(shapes, parsed.repeats, not parsed.no_peaks)
    if parsed.out is not None:
        parsed.out.parent.mkdir(parents=True, exist_ok=True)
        parsed.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
