"""The architecture is a test: imports point down the floors, heavy libraries stay in their places.

The rules are read from the source, so that imports inside functions and under TYPE_CHECKING count
as much as any other; what a process really loads is looked at in processes of their own.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosim.plugin import figures_dir

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cosim"

# Floors, by the longest prefix that fits a module's name. Imports point down or stay on a floor.
FLOORS = {
    "cosim": 7,  # cli, doctor, progress, and what `import cosim` offers
    "cosim.sweep": 7,
    "cosim.sim": 6,
    "plots": 5,  # drawn from run folders, beside `results`
    "cosim.results": 5,
    "cosim.planning": 4,
    "cosim.learning": 3,
    "cosim.radio": 2,
    "cosim.world": 1,
    "cosim.boundary": 0,
    "cosim.collision": 0,
    "cosim.limits": 0,
    "cosim.units": 0,
    "cosim.rng": 0,
    "cosim.on_disk": 0,
    "cosim.plugin": 0,
    "cosim.version": 0,
    "cosim.wording": 0,
    "cosim.scenario": 0,
}
# Libraries, and the only packages that may name them.
HOMES = {
    "simpy": ("cosim.sim",),
    "torch": ("cosim.learning",),
    "transformers": ("cosim.learning",),
    "peft": ("cosim.learning",),
    "safetensors": ("cosim.learning",),
    "tokenizers": ("cosim.learning",),
    "matplotlib": ("plots",),
    "typer": ("cosim.cli",),
    "pyarrow": ("cosim.results", "cosim.learning.tasks", "plots"),
    "pandas": ("cosim.results", "plots"),
    "networkx": ("cosim.planning",),
}
# The one module that imports by name, which is how a kind is found.
FINDERS = ("cosim.plugin",)


@dataclass(frozen=True)
class Import:
    """One import: who, whom, where, and whether it happens when the module is loaded."""

    importer: str
    imported: str
    line: int
    at_load: bool


def modules(folder: Path, name: str) -> dict[str, Path]:
    """Return all modules of a package by dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [name, *path.relative_to(folder).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, path: Path, known: set[str]) -> Iterator[Import]:
    """Yield every import of a module, wherever it stands and however it is written."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node, at_load in walk(tree, at_load=True):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = imported_from(node, package, known)
        elif isinstance(node, ast.Call) and is_import_call(node):
            argument = node.args[0] if node.args else None
            constant = isinstance(argument, ast.Constant)
            names = [str(argument.value) if constant else "(by name)"]
        else:
            continue
        for name in names:
            yield Import(module, name, node.lineno, at_load)


def walk(node: ast.AST, at_load: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield all nodes, and whether they run when the module is loaded."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield child, at_load
        yield from walk(child, at_load and not later and not typing)


def imported_from(node: ast.ImportFrom, package: str, known: set[str]) -> list[str]:
    """Return the modules that `from x import y` names: x.y where that is one, or else x."""
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, base] if base else above)
    named = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in known or name in FLOORS else base for name in named]


def is_import_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("import_module", "__import__", "exec_module", "run_module", "run_path")


def floor(module: str) -> int | None:
    """Return a module's floor; None for what is not ours."""
    while module:
        if module in FLOORS:
            return FLOORS[module]
        module = module.rpartition(".")[0]
    return None


def violation(each: Import) -> str | None:
    """Return what is wrong with an import, or None."""
    where = f"{each.importer}:{each.line} imports {each.imported}"
    if each.imported == "(by name)":
        return None if each.importer in FINDERS else f"{where}; only plugin.py may"
    for library, homes in HOMES.items():
        if is_in(each.imported, library) and not any(is_in(each.importer, at) for at in homes):
            return f"{where}; it belongs in {' and '.join(homes)} only"
    if is_in(each.imported, "plots") and not is_in(each.importer, "plots"):
        return f"{where}; figures are found by their kind"
    from_floor, to_floor = floor(each.importer), floor(each.imported)
    if from_floor is not None and to_floor is not None and to_floor > from_floor:
        return f"{where}, from floor {from_floor} up to {to_floor}"
    return None


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def all_imports() -> list[Import]:
    ours = modules(PACKAGE, "cosim") | modules(figures_dir(), "plots")
    return [each for name, path in ours.items() for each in imports(name, path, set(ours))]


def test_imports_point_down():
    found = all_imports()
    assert len(found) > 100, "the checker sees nothing"
    assert [wrong for each in found if (wrong := violation(each))] == []


def test_every_module_has_a_floor_of_its_own():
    """A new folder must be given a floor; only what the user meets is on the top one."""
    top = {name for name in modules(PACKAGE, "cosim") if floor(name) == 7}
    top = {name for name in top if not name.startswith(("cosim.cli.", "cosim.sweep."))}
    assert top <= {"cosim", "cosim.cli", "cosim.doctor", "cosim.progress", "cosim.sweep"}


VIOLATIONS = {
    "plain": ("cosim.world.x", "import cosim.radio.budget\n"),
    "from": ("cosim.world.x", "from cosim.radio.budget import power\n"),
    "from the package": ("cosim.world.x", "from cosim import radio\n"),
    "from a folder": ("cosim.planning.x", "from cosim.sim import run\n"),
    "what the top offers": ("cosim.results.x", "from cosim import load\n"),
    "the top itself": ("cosim.results.x", "import cosim\n"),
    "relative": ("cosim.world.x", "from ..radio import budget\n"),
    "relative, from a folder in it": ("cosim.world.area.x", "from ...radio.budget import power\n"),
    "relative, nothing but dots": ("cosim.world.x", "from .. import radio\n"),
    "under another name": ("cosim.scenario.x", "import cosim.sim.run as r\n"),
    "in a function": ("cosim.radio.x", "def f():\n    from cosim.sim import run\n"),
    "in a method": ("cosim.radio.x", "class A:\n    def f(self):\n        import cosim.sim\n"),
    "for types": (
        "cosim.radio.x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cosim.sim.run import r\n",
    ),
    "in a try": ("cosim.radio.x", "try:\n    import cosim.sim\nexcept ImportError:\n    pass\n"),
    "second of several": ("cosim.radio.x", "import cosim.rng, cosim.sim\n"),
    "by name": ("cosim.radio.x", "import importlib\nimportlib.import_module('cosim.sim')\n"),
    "by a computed name": ("cosim.radio.x", "from importlib import import_module as i\n"
                           "import importlib\nimportlib.import_module('co' + 'sim.sim')\n"),
    "by the builtin": ("cosim.radio.x", "__import__('cosim.sim')\n"),
    "floor 0 upwards": ("cosim.units", "from cosim.boundary import x\nimport cosim.world\n"),
    "simpy": ("cosim.radio.x", "import simpy\n"),
    "torch": ("cosim.sim.x", "from torch.nn import Linear\n"),
    "torch, late": ("cosim.planning.x", "def f():\n    import torch.nn.functional as F\n"),
    "peft": ("cosim.results.x", "import peft\n"),
    "matplotlib": ("cosim.results.x", "from matplotlib import pyplot\n"),
    "matplotlib, for types": (
        "cosim.cli",
        "import typing\nif typing.TYPE_CHECKING:\n    import matplotlib.figure\n",
    ),
    "a sweep from the event loop": ("cosim.sim.x", "from cosim.sweep.job import Job\n"),
    "torch in a sweep": ("cosim.sweep.x", "def f():\n    import torch\n"),
    "figures from below": ("cosim.results.x", "from plots import style\n"),
    "a figure from the event loop": ("plots.x", "from cosim.sim.run import simulate\n"),
}  # fmt: skip


@pytest.mark.parametrize("form", VIOLATIONS)
def test_the_checker_sees(form, tmp_path):
    module, source = VIOLATIONS[form]
    path = tmp_path / "x.py"
    path.write_text(source, encoding="utf-8")
    known = {"cosim.radio", "cosim.radio.budget", "cosim.sim", "cosim.sim.run", "plots.style"}
    found = [violation(each) for each in imports(module, path, known)]
    assert sum(wrong is not None for wrong in found) == 1, found


ALLOWED = {
    "down": ("cosim.sim.x", "from cosim.radio import budget\nfrom ..world import area\n"),
    "on the floor": (
        "cosim.radio.x",
        "from .budget import power\nfrom cosim.radio import budget\n",
    ),
    "the version": ("cosim.results.x", "from cosim.version import VERSION\n"),
    "floor 0": ("cosim.units", "from cosim.wording import show\n"),
    "at home": ("cosim.learning.x", "import torch\ndef f():\n    from peft import LoraModel\n"),
    "what only sounds alike": ("cosim.radio.x", "import torchlike\nimport simpyx\n"),
    "finding kinds": ("cosim.plugin", "import importlib\nimportlib.import_module(name)\n"),
}


@pytest.mark.parametrize("form", ALLOWED)
def test_the_checker_lets_pass(form, tmp_path):
    module, source = ALLOWED[form]
    path = tmp_path / "x.py"
    path.write_text(source, encoding="utf-8")
    known = {"cosim.radio", "cosim.radio.budget", "cosim.world", "cosim.world.area"}
    assert [violation(each) for each in imports(module, path, known)] in ([None], [None, None])


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return a cycle through each node that is on one, by depth-first search."""
    state: dict[str, int] = {}
    found = []

    def visit(node: str, trail: list[str]) -> None:
        state[node] = 1
        for below in sorted(graph.get(node, ())):
            if state.get(below) == 1:
                found.append([*trail[trail.index(below) :], below])
            elif below not in state:
                visit(below, [*trail, below])
        state[node] = 2

    for node in sorted(graph):
        if node not in state:
            visit(node, [node])
    return found


def test_no_import_cycles():
    graph: dict[str, set[str]] = {}
    for each in all_imports():
        if each.at_load and each.imported != each.importer:
            graph.setdefault(each.importer, set()).add(each.imported)
    assert cycles(graph) == []


def test_the_cycle_finder_finds():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


HEAVY = ("simpy", "torch", "transformers", "peft", "matplotlib", "pandas", "pyarrow", "networkx")


def loaded_after(script: str) -> set[str]:
    """Return which heavy libraries a fresh process has loaded after a script."""
    ask = f"\nimport sys\nprint('LOADED', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script + ask], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "script",
    [
        "import cosim",
        "import cosim.cli",
        "import cosim.cli\ncosim.cli.main(['--help'])",
        "import cosim.cli\ncosim.cli.main(['list', 'scenarios'])",
        "import cosim.scenario.tree",
        "import cosim.plugin\n"
        "for family in cosim.plugin.FAMILIES: print(cosim.plugin.kinds(family))",
    ],
)
def test_light(script):
    assert loaded_after(script) == set()


def test_validating_loads_nothing_that_runs():
    script = "from cosim.scenario.load import loads\nloads('plots: [topology_map]')"
    assert loaded_after(script) & {"torch", "transformers", "peft", "matplotlib", "pandas"} == set()


def test_no_kind_loads_torch_or_matplotlib():
    script = "from cosim.scenario.schema import json_schema\njson_schema()"
    assert loaded_after(script) & {"torch", "transformers", "peft", "matplotlib"} == set()
