"""Looks whether numina can work here: versions, devices, implementations, a numeric self-test."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from numina.versions import DISTRIBUTION, incompatibilities, installed_versions

Status = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Status
    detail: str


def examine() -> Iterator[Finding]:
    """Look at everything, one finding after the other.

    Where the versions do not fit, nothing further is tried: what would fail then is known.
    """
    versions = installed_versions()
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding("versions", "ok", told)
    if DISTRIBUTION not in versions:
        yield Finding("package", "note", f"{DISTRIBUTION} runs from a source tree, not installed")
    problems = incompatibilities()
    for problem in problems:
        yield Finding("compatibility", "failed", problem)
    if problems:
        return
    looks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("devices", _devices),
        ("kernels", _kernels),
        ("video", _video),
        ("sprites", _sprites),
        ("network", _network),
    )
    for name, look in looks:
        try:
            yield from look()
        except (ImportError, RuntimeError, OSError, ValueError) as error:
            yield Finding(name, "failed", f"{type(error).__name__}: {error}".splitlines()[0])


def _devices() -> list[Finding]:
    import torch

    findings = [Finding("cpu", "ok", f"{torch.get_num_threads()} threads")]
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        memory = f"{device.total_memory / 2**30:.0f} GiB"
        findings.append(Finding(f"cuda:{index}", "ok", f"{device.name}, {memory}"))
    if len(findings) == 1:
        findings.append(Finding("cuda", "note", "no CUDA device; big models will be slow"))
    return findings


def _kernels() -> list[Finding]:
    """Every implementation that is installed for a device here, against the float64 oracle."""
    import torch

    from numina_kernels.impl import Impl, is_installed

    findings = []
    for impl in (Impl.EAGER, Impl.CPU, Impl.TRITON):
        name = f"kernels: {impl.value}"
        device = "cuda" if impl is Impl.TRITON else "cpu"
        if not is_installed(impl):
            findings.append(Finding(name, "note", "not installed"))
        elif device == "cuda" and not torch.cuda.is_available():
            findings.append(Finding(name, "note", "needs a CUDA device"))
        else:
            findings.append(_self_test(name, impl.value, device))
    return findings


def _self_test(name: str, impl: str, device: str) -> Finding:
    error, budget = measure_error(impl, device)
    detail = f"biased attention differs from float64 by {error:.1e} (allowed {budget:.1e})"
    return Finding(name, "ok" if error <= budget else "failed", detail)


def measure_error(impl: str, device: str) -> tuple[float, float]:
    """Largest error of one biased attention in float32 against float64, and what is allowed.

    The case is small and fixed: 96 queries, 32 keys, two nouns, every mode of the bias. Allowed
    are 64 roundings of the largest output, which leaves room for TF32-free sums in any order.
    """
    import torch

    from numina_kernels import BiasMode, KeyGroups, LayoutBias, biased_attention

    random = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, length, 2, 16, generator=random, dtype=torch.float64)
        for length in (96, 32, 32)
    )
    labels = torch.randint(0, 3, (1, 2, 96), generator=random).to(torch.int8)
    bias = LayoutBias(
        labels=labels,
        groups=KeyGroups.from_positions(((3, 4), (9,)), 32),
        table=torch.tensor([[[[2.0, -10.0, 1.5], [0.0, 4.0, -torch.inf]]]]),
        mode=torch.tensor(
            [[[BiasMode.OVERWRITE, BiasMode.ADD, BiasMode.LIFT], [BiasMode.ADD] * 3]],
            dtype=torch.int8,
        ),
        weight=torch.full((1, 2, 3), 0.5),
        strength=torch.tensor(1.0),
    )
    exact, _ = biased_attention(query, key, value, bias, impl="reference")
    query, key, value = (tensor.to(device, torch.float32) for tensor in (query, key, value))
    output, _ = biased_attention(query, key, value, bias.to(device), impl=impl)
    error = (output.cpu().double() - exact).abs().max().item()
    budget = 64 * torch.finfo(torch.float32).eps * exact.abs().max().item()
    return error, budget


def _video() -> list[Finding]:
    from numina.report.video import encoder_version

    version = encoder_version()
    if version is None:
        return [Finding("video", "failed", "av was built without an H.264 encoder (libx264)")]
    return [Finding("video", "ok", f"H.264 by av {version}")]


def _sprites() -> list[Finding]:
    from pathlib import Path

    import numina

    folder = Path(numina.__file__).parent / "sprites" / "weights"
    if not (folder / "model_index.json").is_file():
        return [Finding("sprites", "note", "the embedded model has no weights here: no demo")]
    return [Finding("sprites", "ok", "the embedded model is there")]


def _network() -> list[Finding]:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    detail = (
        "offline: hub models come from the cache only" if offline else "hub models may be fetched"
    )
    return [Finding("model hub", "ok", detail)]
