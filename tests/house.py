"""The rules of the house: who imports whom, where heavy packages live, how long a file is."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("numina_kernels", "numina")

# A module imports its own floor or lower. A room covers its submodules, `report*` also its
# neighbours of that prefix; the longest match counts. The bare package `numina` covers itself
# alone, so that a new module must be given a floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("numina_kernels",),
    (
        "numina.errors",
        "numina.video",
        "numina.attend",
        "numina.combination",
        "numina.layout",
        "numina.places",
        "numina.share",
        "numina.record",
        "numina.audit_record",
        "numina.memory",
        "numina.output",
        "numina.versions",
    ),
    ("numina.prompt", "numina.identify", "numina.refine", "numina.guidance"),
    ("numina.attention", "numina.methods"),
    ("numina.integrations",),
    (
        "numina.generation",
        "numina.pipeline",
        "numina.auditing",
        "numina.estimating",
        "numina.searching",
        "numina.report",
        "numina.evaluation",
        "numina.sprites",
    ),
    ("numina.cli", "numina.commands", "numina.doctor", "numina.__main__", "numina"),
)

# Packages that are slow to import or not always there, and the rooms that may ask for them.
# Imports for type checking alone cost nothing and are free everywhere.
ONLY_IN = {
    "triton": ("numina_kernels.triton",),
    "diffusers": ("numina.integrations", "numina.sprites"),
    "sklearn": ("numina.identify.regions",),
    "typer": ("numina.cli", "numina.commands"),
    "av": ("numina.report.video",),
    "jinja2": ("numina.report",),
    "matplotlib": ("numina.report", "numina.evaluation"),
}
# Even there, only inside a function.
LAZILY = {"matplotlib"}
# The kernels work where nothing but torch is installed.
KERNELS_MAY_IMPORT = {"torch", "triton"}

MAX_LINES = 400
SIZED = {".py", ".cpp", ".h", ".cu"}
SIZED_FOLDERS = (*PACKAGES, "csrc", "tests", "benchmarks")
# What is shared has a subject, and the subject is its name.
BANNED_WORDS = {"utils", "util", "common", "helpers", "helper", "misc"}

TYPING_TESTS = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


@dataclass(frozen=True)
class Import:
    """One imported module, as an absolute name.

    Attributes:
        target: Dotted name.
        relative: Whether it was written with leading dots.
        lazy: Whether it stands inside a function.
        typing_only: Whether it stands under ``if TYPE_CHECKING``.
    """

    target: str
    relative: bool
    lazy: bool
    typing_only: bool


def breaches(root: Path) -> list[str]:
    """Every breach of the rules under ``root``, one sentence each."""
    modules = dict(modules_of(root))
    found = [breach for path in _sized_files(root) for breach in _shape_breaches(path, root)]
    for name, path in modules.items():
        if _floor(name) is None:
            found.append(f"{name} has no floor; give it one in tests/house.py")
        for imported in _imports(name, path, modules):
            found += (f"{name} {fault}" for fault in _import_faults(name, imported))
    return found


def _shape_breaches(path: Path, root: Path) -> Iterator[str]:
    where = path.relative_to(root)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MAX_LINES:
        yield f"{where} has {lines} lines; split it by concept, {MAX_LINES} are the limit"
    if any(BANNED_WORDS & set(part.split("_")) for part in where.with_suffix("").parts):
        yield f"{where} is named after nothing; name it after its subject"


def _import_faults(name: str, imported: Import) -> Iterator[str]:
    target = imported.target
    package = name.partition(".")[0]
    top = target.partition(".")[0]

    if package == "numina" and imported.relative:
        yield f"imports {target} relatively; numina imports absolutely"
    if package == top == "numina_kernels" and not imported.relative:
        yield f"imports {target} absolutely; numina_kernels imports itself relatively"
    if imported.typing_only:
        return

    if top in PACKAGES:
        own, other = _floor(name), _floor(target)
        if own is not None and other is not None and other > own:
            yield f"(floor {own}) imports {target} (floor {other})"
        return
    if package == "numina_kernels" and top not in KERNELS_MAY_IMPORT | sys.stdlib_module_names:
        yield f"imports {target}; numina_kernels needs torch alone"
    if top in ONLY_IN and not any(_covers(room, name) for room in ONLY_IN[top]):
        yield f"imports {target}, which belongs to {' and '.join(ONLY_IN[top])}"
    if top in LAZILY and not imported.lazy:
        yield f"imports {target} when it is imported itself; do it inside the function"


def _floor(name: str) -> int | None:
    matches = [
        (len(room), level)
        for level, rooms in enumerate(FLOORS)
        for room in rooms
        if _covers(room, name)
    ]
    return max(matches)[1] if matches else None


def _covers(room: str, name: str) -> bool:
    if room.endswith("*"):
        return name.startswith(room[:-1])
    return name == room or (room != "numina" and name.startswith(room + "."))


def modules_of(root: Path) -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(root).with_suffix("").parts)
            yield dotted.removesuffix(".__init__"), path


def _sized_files(root: Path) -> Iterator[Path]:
    yield from root.glob("*.py")
    for folder in SIZED_FOLDERS:
        yield from sorted(path for path in (root / folder).rglob("*") if path.suffix in SIZED)


def _imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    yield Import(alias.name, False, lazy, typing_only)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                base = _resolve(package, module, level)
                # `from numina import counts` imports the module, not the package's contents.
                submodules = [f"{base}.{alias.name}" for alias in aliases]
                for target in [each for each in submodules if each in modules] or [base]:
                    yield Import(target, level > 0, lazy, typing_only)
            case ast.Call(func=func, args=[ast.Constant(value=str(target)), *_]):
                if ast.unparse(func) in ("import_module", "importlib.import_module", "__import__"):
                    yield Import(target, False, lazy, typing_only)
        match node:
            case ast.If(test=test, body=body, orelse=orelse) if ast.unparse(test) in TYPING_TESTS:
                for child in body:
                    yield from visit(child, lazy, True)
                children: list[ast.AST] = list(orelse)
            case _:
                children = list(ast.iter_child_nodes(node))
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in children:
            yield from visit(child, inside, typing_only)

    yield from visit(ast.parse(path.read_text(encoding="utf-8"), str(path)), False, False)


def _resolve(package: str, module: str | None, level: int) -> str:
    if level == 0:
        return module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - level + 1]
    return ".".join([*kept, *([module] if module else [])])
