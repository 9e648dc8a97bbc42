"""The optional CPU extension; everything else about the package stands in pyproject.toml.

An isolated build (``pip install .``) has no torch and gives a pure Python wheel: asking for torch
as a build requirement would download gigabytes to compile a few small files. A build without
isolation compiles ``csrc`` against the torch that is there. On torch's stable ABI one
``.abi3.so`` serves many versions of Python and of torch. Without a compiler the build goes on, and
the wheel is pure again.
"""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

# The oldest torch whose stable ABI splits work among threads; numina_kernels/impl.py knows it too.
OLDEST_TORCH = (2, 10)

sources = sorted(str(path) for path in Path("csrc").glob("*.cpp"))
torch = find_spec("torch")


def has_stable_abi() -> bool:
    if torch is None or torch.origin is None:
        return False
    return tuple(int(part) for part in version("torch").split(".")[:2]) >= OLDEST_TORCH


class Wheel(bdist_wheel):
    """A wheel into which no extension went is pure, whatever was tried."""

    def run(self) -> None:
        if self.distribution.has_ext_modules():
            build = self.get_finalized_command("build_ext")
            build.run()
            if not any(Path(path).exists() for path in build.get_outputs()):
                self.distribution.ext_modules = []
                self.root_is_pure = True
        super().run()


extensions = []
options = {}
if sources and has_stable_abi():
    home = Path(torch.origin).parent
    major, minor = OLDEST_TORCH
    extensions = [
        Extension(
            "numina_kernels._cpu",
            sources=sources,
            depends=sorted(str(path) for path in Path("csrc").glob("*.h")),
            include_dirs=[str(home / "include"), str(home / "include/torch/csrc/api/include")],
            library_dirs=[str(home / "lib")],
            libraries=["torch_cpu"],
            define_macros=[
                ("Py_LIMITED_API", "0x030B0000"),
                ("TORCH_TARGET_VERSION", f"0x{major:02x}{minor:02x}000000000000"),
            ],
            extra_compile_args=[
                "-O3",
                "-g0",
                "-std=c++20",
                "-fvisibility=hidden",
                # Multiply-adds in one instruction; NaN and infinity keep their meaning.
                "-ffp-contract=fast",
                "-fno-math-errno",
                "-fno-trapping-math",
            ],
            py_limited_api=True,
            # Without a compiler the other implementations do the work.
            optional=True,
        )
    ]
    options = {"bdist_wheel": {"py_limited_api": "cp311"}}

setup(ext_modules=extensions, options=options, cmdclass={"bdist_wheel": Wheel})
