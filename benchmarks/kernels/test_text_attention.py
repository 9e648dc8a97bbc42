"""Attention that sees the text under pytest-benchmark: a quick look at what a change costs.

    python -m pytest benchmarks/kernels --shape wan-1.3b-480p --benchmark-sort=mean

On CUDA where there is a device, else on the CPU. Reported figures come from ``cpu.py`` and
``gpu.py``, whose providers take turns; here they run one after the other.
"""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.kernels.bench import free_memory, reason, synchronize
from benchmarks.kernels.comparing import Judge, looked_at
from benchmarks.kernels.rivals import Provider
from benchmarks.kernels.shapes import SHAPES, TINY
from benchmarks.kernels.speed import text_inputs, text_judge, text_providers
from numina_kernels.impl import Impl, resolve

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Providers = tuple[dict[str, Provider], Judge]


def _names() -> list[str]:
    inputs, folded = text_inputs(TINY[0], torch.float32, torch.device("cpu"))
    return [provider.name for provider in text_providers(Impl.EAGER, inputs, folded)]


@pytest.fixture(scope="module", params=DTYPES)
def providers(request: pytest.FixtureRequest) -> Iterator[Providers]:
    """All ways to one result by name, and what tells their errors."""
    name = request.config.getoption("--shape")
    shape = next(shape for shape in (*TINY, *SHAPES) if shape.name == name)
    inputs, folded = text_inputs(shape, DTYPES[request.param], DEVICE)
    impl = resolve(None, DEVICE.type)
    yield {each.name: each for each in text_providers(impl, inputs, folded)}, text_judge(inputs)
    free_memory(DEVICE)


@pytest.mark.parametrize("name", _names())
def test_text_attention(benchmark, providers: Providers, name: str) -> None:
    by_name, judge = providers
    if name not in by_name:
        pytest.skip("a joint sequence has no padding to fold")
    row = {}
    with torch.no_grad():
        try:
            call = looked_at(by_name[name], judge, DEVICE, row)
        # A rival may be absent or fail in any way it likes; ours may not.
        except Exception as error:
            if name.startswith("numina"):
                raise
            pytest.skip(reason(error))

        def run() -> None:
            call()
            synchronize(DEVICE)

        benchmark.extra_info |= row
        benchmark(run)
    assert row["right"] or not name.startswith("numina"), row
