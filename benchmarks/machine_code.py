"""What a compiled kernel does, read from its machine code: registers, spills, loops."""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import triton

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# One instruction of a dump: its address and its text.
INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(.*?);", re.MULTILINE)
RESOURCES = re.compile(r"REG:(\d+)")
BRANCH = re.compile(r"0x([0-9a-f]+)")
MATRIX = ("HGMMA", "HMMA", "UTCHMMA", "UTCOMMA", "UTCQMMA")
SPILLS = ("STL", "LDL")
# Loads that do not wait: cp.async and the tensor memory accelerator.
ASYNCHRONOUS = ("LDGSTS", "UTMALDG")


@dataclass(frozen=True)
class Loop:
    """The instructions of an innermost loop that multiplies matrices, by name."""

    names: tuple[str, ...]

    def count(self, *prefixes: str) -> int:
        return sum(name.startswith(prefixes) for name in self.names)

    @property
    def matrix_products(self) -> int:
        return self.count(*MATRIX)

    @property
    def asynchronous_loads(self) -> int:
        return self.count(*ASYNCHRONOUS)


class MachineCode:
    """The machine code of a cubin."""

    def __init__(self, cubin: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(cubin)
            file.flush()
            dump = _run("-sass", file.name)
            self.registers = int(RESOURCES.search(_run("-res-usage", file.name)).group(1))
        found = INSTRUCTION.findall(dump)
        self._code = [(int(address, 16), _name(text), text) for address, text in found]

    @cached_property
    def names(self) -> Counter[str]:
        """How often each instruction occurs."""
        return Counter(name for _, name, _ in self._code)

    def count(self, *prefixes: str) -> int:
        return sum(n for name, n in self.names.items() if name.startswith(prefixes))

    @property
    def spills(self) -> int:
        return self.count(*SPILLS)

    @cached_property
    def loops(self) -> list[Loop]:
        """Loops that multiply matrices, innermost ones only, in the order of the code."""
        spans = set()
        for address, name, text in self._code:
            target = BRANCH.search(text) if name.startswith("BRA") else None
            if target and int(target.group(1), 16) < address:
                spans.add((int(target.group(1), 16), address))
        bodies = {
            span: tuple(name for at, name, _ in self._code if span[0] <= at <= span[1])
            for span in sorted(spans)
        }
        multiplying = {s: Loop(b) for s, b in bodies.items() if Loop(b).matrix_products}
        return [
            loop
            for span, loop in multiplying.items()
            if not any(_inside(other, span) for other in multiplying)
        ]


def serialised(ptx: str, arch: int) -> bool:
    """Whether ptxas warns (C75xx) that matrix instructions of Hopper wait for each other."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        done = subprocess.run(
            [TOOLS / "ptxas", "-v", f"--gpu-name=sm_{arch}a", file.name, "-o", "/dev/null"],
            capture_output=True,
            text=True,
            check=True,
        )
    return "C75" in done.stdout + done.stderr


def _inside(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def _name(text: str) -> str:
    return re.sub(r"^@!?U?P\w+\s+", "", text).split()[0]


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [TOOLS / "cuobjdump", *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr
