"""Sketches and scores of heads are queued on the device: the host never waits for a value."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from numina.identify import jacobi, sketch
from numina.identify.heads import HeadWeights, score_heads
from numina.identify.sketch import SketchSpec, frame_features
from numina.video import VideoGrid

GRID = VideoGrid(frames=2, rows=9, columns=11)
HEADS, DIM = 2, 16
# What has a size or a result that depends on values. Of `index` only masks do, and those count
# with `nonzero`.
VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
INDEX = torch.ops.aten.index.Tensor


class Unwaited(TorchDispatchMode):
    """Fails at the first operation on a device for whose result the host would have to wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs))
        devices = {x.device.type for x in leaves if isinstance(x, Tensor)}
        target = (kwargs or {}).get("device")
        if target is not None:
            devices.add(torch.device(target).type)
        if devices - {"cpu"}:
            name = func.name().removeprefix("aten::")
            waits = func is not INDEX and VALUES & set(func.tags)
            # Solvers ask whether they converged.
            waits = waits or name.lstrip("_").startswith("linalg")
            if "cpu" in devices and name.partition(".")[0] in ("_to_copy", "copy_", "to"):
                waits = waits or not (kwargs or {}).get("non_blocking", True in args[2:])
            assert not waits, f"the host waits for {name}"
        return func(*args, **(kwargs or {}))


def on_device(*shape: int) -> Tensor:
    """A tensor without values, which stands for one on a device."""
    return torch.empty(shape, device="meta")


@pytest.fixture(params=["any implementation", "Triton"])
def launched(request, monkeypatch):
    """Products with maps: as shapes alone, or by Triton's launchers up to the launch."""
    if request.param != "Triton":
        yield
        return
    pytest.importorskip("triton", reason="triton is not installed: pip install 'triton>=3.6'")
    from numina_kernels import triton as room
    from numina_kernels.triton import launch

    class Launched:
        def __init__(self, query, key):
            self.sides, self.lse = (query, key), None

        def apply(self, x):
            if self.lse is None:
                output, self.lse = room.attention_map_apply(*self.sides, x, 0.25)
                return output
            return room.attention_map_reapply(*self.sides, x, self.lse, 0.25)

        def apply_transposed(self, y):
            return room.attention_map_apply_transposed(*self.sides, y, self.lse, 0.25)

    started = []
    monkeypatch.setattr(launch, "architecture", lambda _: 90)
    monkeypatch.setattr(launch, "start", lambda *work: started.append(work))
    monkeypatch.setattr(sketch, "AttentionMap", Launched)
    yield
    # Of each head two products with the map, and one with the transposed.
    assert len(started) == 3 * HEADS


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize(
    "weights", [HeadWeights.ROBUST, HeadWeights.PAPER], ids=["robust", "paper"]
)
@pytest.mark.parametrize("columns", [4, 5])
def test_a_head_is_chosen_without_waiting_for_the_device(monkeypatch, columns, weights):
    monkeypatch.setattr(jacobi, "_SWEEPS", 1)  # All are alike.
    query, key = (on_device(1, GRID.tokens, HEADS, DIM).bfloat16() for _ in range(2))
    # One head at a time; the second must not wait for the first either.
    spec = SketchSpec(columns=columns, rounds=2, memory_mib=0.01)
    with Unwaited():
        features = frame_features(query, key, GRID, spec)
        best = score_heads(features, GRID, weights).argmax(dim=1)
    assert features.shape == (GRID.frames, HEADS, GRID.patches, 3)
    assert features.device.type == best.device.type == "meta"
    assert best.shape == (GRID.frames,)


WAITS = {
    "_local_scalar_dense": lambda x: x.sum().item(),
    "is_nonzero or a number": lambda x: bool((x > 0).all()),
    "nonzero": lambda x: x.nonzero(),
    "masked_select": lambda x: x.masked_select(x > 0),
    "equal": lambda x: torch.equal(x, x),
    "eigh": lambda x: torch.linalg.eigh(x),
    "to the host": lambda x: x.cpu(),
    "from the host": lambda x: torch.ones(3).to(x.device),
    "into a tensor": lambda x: x[0].copy_(torch.ones(3)),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_is_noticed(name):
    with pytest.raises(AssertionError, match="the host waits for"), Unwaited():
        WAITS[name](on_device(3, 3))


def test_what_does_not_wait_is_let_through():
    x = on_device(3, 3)
    with Unwaited():
        torch.ones(3).to(x.device, non_blocking=True)
        x[..., torch.tensor([0, 2], device=x.device)].sum()
        # On the host nothing has to be waited for.
        assert torch.ones(3).sum().item() == 3


@pytest.mark.gpu
def test_a_gpu_is_not_waited_for():
    query, key = (torch.randn(1, GRID.tokens, HEADS, DIM, device="cuda") for _ in range(2))

    def chosen() -> Tensor:
        return score_heads(frame_features(query, key, GRID), GRID).argmax(dim=1)

    expected = chosen()  # Compiles, which may wait.
    torch.cuda.set_sync_debug_mode("error")
    try:
        best = chosen()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(best, expected)
