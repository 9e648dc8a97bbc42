"""Compiles every shipped kernel configuration without a GPU and reads what came out.

    python benchmarks/compile_check.py --json FILE [--arch 90] [--dtype bf16] [--head-dim 128]

The launchers themselves are run, on tensors without memory, up to the launch; so what is compiled
here is what ships: the same arguments, the same specialisations, the same configurations.
Instructions are counted in the machine code. They are no times. Rows of other architectures,
dtypes, head dimensions and versions of Triton stay in FILE: the table can be made bit by bit.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

# Kernels that are interpreted cannot be compiled.
os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import triton
from kernel_calls import CALLS, DTYPES, Call
from machine_code import MachineCode, serialised
from triton.backends.compiler import GPUTarget

from numina_kernels.triton import launch
from numina_kernels.triton.configs import ARCHITECTURES, MOST_HEAD_DIM, LaunchConfig

HEAD_DIMS = (64, 96, 128, 256)
TYPES = {
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.int8: "*i8",
    torch.int64: "*i64",
}


@dataclass
class Row:
    """One kernel in one configuration.

    Attributes:
        kernel: Operation and what it is asked for.
        config: Dtype, head dimension, tile, warps, stages.
        arch: ``"sm_90"``.
        triton: Version of the compiler.
        registers: Of a thread.
        spills: Instructions that move a register to memory or back.
        shared_bytes: Shared memory of a program.
        main_loop: Instructions of the loop over unmasked tiles; None where there is none.
        plain_main_loop: The same of the kernel without a bias, in the same configuration.
        tail: Instructions of the loop over masked tiles, every noun's once.
        hgmma: Matrix instructions of Hopper in the main loop.
        warpgroup_arrive: Points where a warp group waits for its matrix unit, in the main loop.
        matrix_products: Matrix instructions of any kind in the main loop.
        exponentials: Calls of the special function unit in the main loop.
        asynchronous_loads: Loads in the main loop that do not wait.
        fused: Fused multiply-adds in the kernel.
        serialised: Whether ptxas warned that matrix instructions wait for each other.
    """

    kernel: str
    config: str
    arch: str
    triton: str
    registers: int
    spills: int
    shared_bytes: int
    main_loop: int | None
    plain_main_loop: int | None
    tail: int | None
    hgmma: int
    warpgroup_arrive: int
    matrix_products: int
    exponentials: int
    asynchronous_loads: int
    fused: int
    serialised: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the rows are written")
    parser.add_argument("--arch", type=int, nargs="*", default=ARCHITECTURES)
    parser.add_argument("--dtype", nargs="*", choices=DTYPES, default=tuple(DTYPES))
    parser.add_argument("--head-dim", type=int, nargs="*", default=HEAD_DIMS)
    arguments = parser.parse_args()
    print(f"triton {triton.__version__}", flush=True)
    for arch in arguments.arch:
        for dtype in arguments.dtype:
            most = MOST_HEAD_DIM[launch.bits(torch.empty(0, dtype=DTYPES[dtype]))]
            for head_dim in filter(most.__ge__, arguments.head_dim):
                rows = []
                for row in check(arch, dtype, head_dim):
                    rows.append(row)
                    print(_line(row), flush=True)
                if arguments.json is not None:
                    _replace(arguments.json, rows)


def _replace(file: Path, rows: list[Row]) -> None:
    """Put rows of one architecture, dtype and head dimension in the place of those before."""
    kept = json.loads(file.read_text()) if file.exists() else []
    new = [asdict(row) for row in rows]
    replaced = {_inputs(row) for row in new}
    kept = [row for row in kept if _inputs(row) not in replaced]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps([*kept, *new], indent=1) + "\n")
    partial.rename(file)


def _inputs(row: dict[str, Any]) -> tuple[str, ...]:
    return row["triton"], row["arch"], *row["config"].split()[:2]


def check(arch: int, dtype: str, head_dim: int) -> Iterator[Row]:
    """Every kernel in every configuration that is shipped for these."""
    plain: dict[LaunchConfig, Row] = {}
    for call in CALLS:
        for config, kernel, arguments in launches(arch, call, dtype, head_dim):
            row = _row(arch, call, f"{dtype} D{head_dim}", config, kernel, arguments)
            if call.is_plain:
                plain[config] = row
            alike = plain.get(config, row) if call.has_plain else row
            row.plain_main_loop = alike.main_loop
            yield row


def launches(
    arch: int, call: Call, dtype: str, head_dim: int
) -> list[tuple[LaunchConfig, Any, dict[str, Any]]]:
    """What the launcher of ``call`` would start on a GPU, in all its configurations."""
    found = []

    def start(kernel: Any, work: launch.Work, arguments: dict[str, Any], config: Any) -> None:
        found.append((config, kernel, arguments))
        raise launch.OutOfResources(0, 0, "the next configuration is wanted too")

    with (
        mock.patch.object(launch, "architecture", return_value=arch),
        mock.patch.object(launch, "start", start),
        mock.patch.object(launch.warnings, "warn"),
        contextlib.suppress(launch.OutOfResources),
    ):
        call.run(DTYPES[dtype], head_dim)
    return found


def _row(
    arch: int, call: Call, inputs: str, config: LaunchConfig, kernel: Any, arguments: dict[str, Any]
) -> Row:
    compiled = triton.compile(
        _source(kernel, arguments),
        target=GPUTarget("cuda", arch, 32),
        options={"num_warps": config.num_warps, "num_stages": config.num_stages},
    )
    code = MachineCode(compiled.asm["cubin"])
    main = next((loop for loop in code.loops if loop.asynchronous_loads), None)
    behind = code.loops[code.loops.index(main) + 1 :] if main else []
    tile = f"{config.block_m}x{arguments['BLOCK_N']}" if config.block_n else f"{config.block_m}"
    return Row(
        kernel=call.name,
        config=f"{inputs} {tile} w{config.num_warps} s{config.num_stages}",
        arch=f"sm_{arch}",
        triton=triton.__version__,
        registers=code.registers,
        spills=code.spills,
        shared_bytes=compiled.metadata.shared,
        main_loop=len(main.names) if main else None,
        plain_main_loop=None,
        tail=len(behind[0].names) if behind else None,
        hgmma=main.count("HGMMA") if main else 0,
        warpgroup_arrive=main.count("WARPGROUP.ARRIVE") if main else 0,
        matrix_products=main.matrix_products if main else 0,
        exponentials=main.count("MUFU") if main else 0,
        asynchronous_loads=main.asynchronous_loads if main else 0,
        fused=code.count("FFMA"),
        serialised=arch == 90 and serialised(compiled.asm["ptx"], arch),
    )


def _source(kernel: Any, arguments: dict[str, Any]) -> Any:
    """The kernel specialised as its launch would: on dtypes and on multiples of 16."""
    signature, constants, attributes = {}, {}, {}
    for position, parameter in enumerate(kernel.params):
        value = arguments[parameter.name]
        if parameter.is_constexpr or value is None:
            signature[parameter.name] = "constexpr"
            constants[(position,)] = value
        else:
            signature[parameter.name] = _type(value)
            attributes |= _divisible(value, (position,), not parameter.do_not_specialize)
    return triton.compiler.ASTSource(kernel, signature, constants, attributes)


def _type(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype]
    if isinstance(value, tuple):
        return type(value)(*map(_type, value))
    return {int: "i32", float: "fp32"}[type(value)]


def _divisible(value: Any, path: tuple[int, ...], specialised: bool) -> dict[Any, Any]:
    if isinstance(value, tuple):
        parts = (_divisible(part, (*path, i), True) for i, part in enumerate(value))
        return {key: attribute for part in parts for key, attribute in part.items()}
    if isinstance(value, torch.Tensor) or (specialised and value % 16 == 0):
        return {path: [["tt.divisibility", 16]]}
    return {}


def _line(row: Row) -> str:
    loops = ["-" if n is None else str(n) for n in (row.main_loop, row.plain_main_loop, row.tail)]
    return (
        f"{row.arch:6} {row.kernel:38} {row.config:28} "
        f"registers {row.registers:3} spills {row.spills:3} "
        f"shared {row.shared_bytes / 1024:5.0f} KiB  "
        f"loop {loops[0]:>4} plain {loops[1]:>4} tail {loops[2]:>4}  "
        f"hgmma {row.hgmma:2} arrive {row.warpgroup_arrive}"
    )


if __name__ == "__main__":
    main()
