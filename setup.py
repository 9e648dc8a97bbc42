"""The optional CPU extension; everything else about the package stands in pyproject.toml.

An isolated build (``pip install .``) has no torch and gives a pure Python wheel: asking for torch
as a build requirement would download gigabytes to compile one small file. A build without
isolation compiles ``csrc`` against the torch that is there. On torch's stable ABI one
``.abi3.so`` serves many versions of Python and of torch.
"""

from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, setup

sources = sorted(str(path) for path in Path("csrc").glob("*.cpp"))
torch = find_spec("torch")

extensions = []
options = {}
if sources and torch is not None and torch.origin is not None:
    home = Path(torch.origin).parent
    extensions = [
        Extension(
            "numina_kernels._cpu",
            sources=sources,
            depends=sorted(str(path) for path in Path("csrc").glob("*.h")),
            include_dirs=[str(home / "include"), str(home / "include/torch/csrc/api/include")],
            library_dirs=[str(home / "lib")],
            libraries=["torch_cpu"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-O3", "-std=c++20"],
            py_limited_api=True,
            # Without a compiler the build goes on, and the other implementations do the work.
            optional=True,
        )
    ]
    options = {"bdist_wheel": {"py_limited_api": "cp311"}}

setup(ext_modules=extensions, options=options)
