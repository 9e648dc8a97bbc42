"""How a Triton kernel is chosen and started, and what is said when it cannot be."""

import math
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from numina_kernels import ImplementationError, biased_attention
from numina_kernels.testing import make_groups, make_layout_bias, make_qkv

pytest.importorskip("triton", reason="triton is not installed: pip install 'triton>=3.6'")

from triton.runtime.errors import OutOfResources

from numina_kernels import triton as room
from numina_kernels.triton import configs, launch
from numina_kernels.triton.configs import ARCHITECTURES, MOST_HEAD_DIM, Form, LaunchConfig

interpreted = pytest.mark.skipif(
    not isinstance(launch._any_kernel, launch.InterpretedFunction),
    reason="needs Triton's interpreter: TRITON_INTERPRET=1, set before triton is imported",
)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, 86, 89, 103, 120])
def test_every_width_has_a_configuration_on_every_architecture(architecture):
    for form in Form:
        for bits, most in MOST_HEAD_DIM.items():
            for width in configs.WIDTHS:
                if width > most:
                    continue
                for config in configs.candidates(architecture, form, bits, width):
                    assert config.block_m in (16, 32, 64, 128)
                    gathers = form in (Form.PROBS, Form.PEAKS)
                    assert config.block_n in ((0,) if gathers else (16, 32, 64, 128))
                    assert config.num_warps in (4, 8)


def test_small_blackwell_is_treated_as_ampere():
    for form in Form:
        assert configs.candidates(120, form, 16, 64) == configs.candidates(80, form, 16, 64)
        assert configs.candidates(103, form, 16, 64) == configs.candidates(100, form, 16, 64)


def test_a_tensor_that_is_not_on_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(launch, "_any_kernel", object())
    query, key, value = make_qkv(1, 2, 3, 1, 16, dtype=torch.float32)
    with pytest.raises(ImplementationError, match=r"needs tensors on a CUDA device, got cpu"):
        biased_attention(query, key, value, impl="triton")


@interpreted
def test_too_little_shared_memory_leads_to_the_next_configuration(monkeypatch):
    query, key, value = make_qkv(1, 2, 3, 1, 16, dtype=torch.float32)
    large, small = LaunchConfig(128, 32, 8, 3), LaunchConfig(64, 32, 4, 1)
    monkeypatch.setattr(launch, "candidates", lambda *_: (large, small))
    start = launch.start

    def start_small(kernel, work, arguments, config):
        if config is large:
            raise OutOfResources(200_000, 100_000, "shared memory")
        start(kernel, work, arguments, config)

    monkeypatch.setattr(launch, "start", start_small)
    with pytest.warns(UserWarning, match=r"block_m=128.*does not fit cpu.*next smaller"):
        output, _ = biased_attention(query, key, value, impl="triton")

    expected, _ = biased_attention(query, key, value, impl="reference")
    torch.testing.assert_close(output, expected)


class Kernel:
    """Stands for a kernel: notes how it is started, and raises what it was given."""

    def __init__(self, name, *errors):
        self.__name__ = name
        self.errors = list(errors)
        self.started = []

    def __getitem__(self, grid):
        def run(**arguments):
            self.started.append(arguments)
            if self.errors:
                raise self.errors.pop(0)

        return run


# Wide enough that attention and products have a smaller configuration to fall back on.
QUERY, KEY, VALUE = make_qkv(1, 4, 200, 1, 256, dtype=torch.bfloat16)
GROUPS, LSE = make_groups(1, 200, 2), torch.zeros(1, 1, 4)
LAUNCHES = {
    "attention_kernel": lambda: room.biased_attention(QUERY, KEY, VALUE, None, None, 0.1),
    "product_kernel": lambda: room.attention_map_reapply(QUERY, KEY, VALUE, LSE, 0.1),
    "token_probs_kernel": lambda: room.token_probs(QUERY, KEY, GROUPS, None, LSE, 0.1),
    "token_peaks_kernel": lambda: room.token_peaks(QUERY, KEY, GROUPS, 2, None, LSE, 0.1),
}
FILES = {"attention_kernel": "biased_attention", "product_kernel": "attention_map"}


def stand_in(monkeypatch, name, *errors):
    """The kernel ``name`` replaced, on a device that is taken for sm_90."""
    kernel = Kernel(name, *errors)
    # Their functions hide the modules of the same names.
    module = sys.modules[f"{room.__name__}.{FILES.get(name, name.removesuffix('_kernel'))}"]
    monkeypatch.setattr(module, name, kernel)
    monkeypatch.setattr(launch, "architecture", lambda _: 90)
    return kernel


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_first_launch_inside_of_a_graph_capture_says_so(monkeypatch, name):
    refused = RuntimeError("operation not permitted when stream is capturing")
    stand_in(monkeypatch, name, refused, refused)
    with pytest.raises(RuntimeError, match=r"^operation not permitted"):
        LAUNCHES[name]()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(
        ImplementationError, match=f"{name} could not be loaded.*run the operation once.*before"
    ) as caught:
        LAUNCHES[name]()
    assert caught.value.__cause__ is refused


@pytest.mark.parametrize("name", ["attention_kernel", "product_kernel"])
def test_a_kernel_that_runs_out_of_shared_memory_is_started_smaller(monkeypatch, name):
    kernel = stand_in(monkeypatch, name, OutOfResources(300_000, 200_000, "shared memory"))

    with pytest.warns(UserWarning, match=rf"LaunchConfig.* of {name} does not fit.*300000.*next"):
        LAUNCHES[name]()

    large, small = kernel.started[:2]
    assert small["BLOCK_N"] < large["BLOCK_N"]


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_kernel_for_which_nothing_is_small_enough_fails_aloud(monkeypatch, name):
    error = OutOfResources(300_000, 200_000, "shared memory")
    stand_in(monkeypatch, name, *[error] * 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(OutOfResources, match="300000"):
            LAUNCHES[name]()


def test_no_kernel_adds_in_an_order_of_its_own():
    # The order of atomic additions, and with it the last bits of a sum, changes from run to run.
    files = list(Path(room.__file__).parent.glob("*.py"))
    assert len(files) > 8
    assert not [file.name for file in files if "atomic_" in file.read_text(encoding="utf-8")]


class Sizes(TorchDispatchMode):
    """Elements of every tensor that an operation made."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.made += [x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        return result


@pytest.mark.parametrize("keys", [96, 4096])
def test_no_tensor_has_an_entry_for_each_score(monkeypatch, keys):
    queries = 8192
    query, key, value = make_qkv(1, queries, keys, 1, 16, dtype=torch.bfloat16)
    x = torch.ones(1, keys, 1, 8)
    groups = make_groups(1, keys, 2)
    bias = make_layout_bias(groups, queries)
    started = []
    # The kernel itself has no other memory than its arguments.
    monkeypatch.setattr(launch, "architecture", lambda _: 90)
    monkeypatch.setattr(launch, "start", lambda *work: started.append(work))

    with Sizes() as sizes:
        room.biased_attention_with_probs(query, key, value, groups, bias, torch.ones(1, keys), 0.1)
        _, lse = room.attention_map_apply(query, key, x, 0.1)
        room.attention_map_reapply(query, key, x, lse, 0.1)
        room.attention_map_apply_transposed(query, key, query, lse, 0.1)
        room.token_probs(query, key, groups, None, lse, 0.1)
        room.token_probs(query, key, groups, None, None, 0.1)

    assert len(started) == 6
    assert max(sizes.made) <= max(queries * 16, keys * 16) < queries * keys
    handed = [x for _, _, arguments, _ in started for x in tree_leaves(arguments)]
    assert max(x.numel() for x in handed if isinstance(x, torch.Tensor)) < queries * keys


@pytest.mark.parametrize("known", [True, False])
def test_no_probability_is_held_for_the_peaks(monkeypatch, known):
    queries, frames = 8192, 4
    query, key, _ = make_qkv(1, queries, 96, 2, 16, dtype=torch.bfloat16)
    groups, lse = make_groups(1, 96, 3), torch.zeros(1, 2, queries)
    started = []
    monkeypatch.setattr(launch, "architecture", lambda _: 90)
    monkeypatch.setattr(launch, "start", lambda *work: started.append(work))

    with Sizes() as sizes:
        room.token_peaks(query, key, groups, frames, None, lse if known else None, 0.1)

    # Without a log-sum-exp, one is made first; it has no noun.
    assert len(started) == (1 if known else 2)
    assert max(sizes.made) <= (2 * 3 * frames if known else lse.numel()) < 3 * lse.numel()


@interpreted
@pytest.mark.slow
@pytest.mark.parametrize("name", ["biased_attention_with_probs", "token_probs", "token_peaks"])
def test_opcheck(name):
    query, key, value = make_qkv(1, 4, 9, 1, 8, dtype=torch.float32)
    groups = make_groups(1, 9, 2)
    parts = (groups.index, groups.columns, groups.count)
    bias = make_layout_bias(groups, 4)
    tensors = (bias.labels, groups.index, groups.columns, bias.table, bias.mode, bias.weight)
    arguments = {
        "biased_attention_with_probs": (
            query, key, value, *parts, *tensors, bias.strength, torch.zeros(1, 9), 0.5, "triton",
        ),
        "token_probs": (query, key, *parts, None, None, 0.5, "triton"),
        "token_peaks": (query, key, *parts, 2, None, None, 0.5, "triton"),
    }[name]  # fmt: skip
    torch.library.opcheck(getattr(torch.ops.numina, name).default, arguments)
    assert math.isfinite(arguments[-2])


@pytest.mark.parametrize(
    ("number", "width"), [(1, 16), (16, 16), (17, 32), (72, 96), (96, 96), (112, 128), (256, 256)]
)
def test_a_head_dimension_takes_the_next_larger_width(number, width):
    assert configs.width_of(number) == width


def test_a_padded_head_dimension_takes_smaller_tiles_on_ampere():
    ampere, hopper = (configs.candidates(arch, Form.STREAM, 16, 96)[0] for arch in (80, 90))
    assert (ampere.block_n, hopper.block_n) == (32, 64)
    ampere, hopper = (configs.candidates(arch, Form.STREAM, 16, 128)[0] for arch in (80, 90))
    assert ampere.block_n == hopper.block_n == 64
