"""Arrows between the parts point down only; some libraries live in one room."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.structure.conftest import Source

ROOMS = {"schedulers", "slides", "encoders", "storage", "report"}
FLOORS = {"errors": 0, "core": 1, "command": 1, "cli": 4, "__main__": 5}  # rooms 2, stages 3
ROOM_FLOOR, STAGE_FLOOR = 2, 3

# The public names of the package, and a type in an error's signature: neither is loaded with it.
ADMITTED = {
    ("slidearray", "slidearray.storage.store"),
    ("slidearray.errors", "slidearray.core.classes"),
}

ONE_ROOM = {
    "imagecodecs": "slidearray.slides",
    "openslide": "slidearray.slides",
    "simplejpeg": "slidearray.slides",
    "tifffile": "slidearray.slides",
    "h5py": "slidearray.storage",
    "submitit": "slidearray.schedulers",
    "subprocess": "slidearray.command",
}

# Files, processes, clocks, the environment and chance: pure decisions need none of them.
THE_WORLD = {
    "datetime", "io", "os", "pathlib", "random", "shutil", "socket", "subprocess", "tempfile",
    "time", "uuid",
}  # fmt: skip

# What a job script starts, and what every other command starts with.
LIGHT = ("slidearray.__main__", "slidearray.cli.work", "slidearray.worker.supervisor")

# The child, and what it loads once it can tell what is missing.
CHILD = (
    "slidearray.worker.child",
    "slidearray.worker.slide_work",
    "slidearray.encoders.color_texture",
)

# Heavy, and of no use to a process that reads tiles.
NOT_IN_THE_CHILD = {
    "jinja2", "pandas", "pydantic", "rich", "submitit", "torch", "typer", "yaml",
}  # fmt: skip

STARTS_PROGRAMS = ("system", "popen", "spawn", "posix_spawn", "exec", "fork")


def part(module: str) -> str:
    """`core` of `slidearray.core.ids`: the room, or the name of a top-level module."""
    names = module.split(".")
    return names[1] if len(names) > 1 else ""


def floor(name: str) -> int:
    """How high a part stands."""
    return FLOORS.get(name, ROOM_FLOOR if name in ROOMS else STAGE_FLOOR)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def arrows(sources: dict[str, Source]) -> list[tuple[str, str]]:
    """Pairs of our own modules, importer first, late and type-only imports included."""
    ours = [
        (source.name, target)
        for source in sources.values()
        for target in sorted(source.imports)
        if within(target, "slidearray") and target != "slidearray"
    ]
    return sorted(set(ours) - ADMITTED)


def test_arrows_point_down_only(sources: dict[str, Source]) -> None:
    upward = [
        f"{importer} -> {target}"
        for importer, target in arrows(sources)
        if part(importer) != part(target) and floor(part(importer)) <= floor(part(target))
    ]
    assert upward == []


def test_core_stands_on_errors_alone(sources: dict[str, Source]) -> None:
    below = {part(target) for importer, target in arrows(sources) if part(importer) == "core"}
    assert below <= {"core", "errors"}


def test_core_uses_no_library_that_touches_the_world(sources: dict[str, Source]) -> None:
    allowed = {"numpy", "pydantic", "pydantic_core", "jinja2", "slidearray"}
    foreign = {
        f"{source.name}: {name}"
        for source in sources.values()
        if part(source.name) == "core"
        for name in source.imports
        if name.split(".")[0] not in allowed | set(sys.stdlib_module_names)
    }
    assert foreign == set()


def test_core_does_not_reach_for_the_world(sources: dict[str, Source]) -> None:
    reaching = {
        f"{source.name}: {name}"
        for source in sources.values()
        if part(source.name) == "core"
        for name in source.imports
        if name.split(".")[0] in THE_WORLD
    }
    assert reaching == set()


def test_only_the_version_is_taken_from_the_package_itself(sources: dict[str, Source]) -> None:
    taken = {
        f"{source.name}: {alias.name}"
        for source in sources.values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "slidearray"
        for alias in node.names
        if f"slidearray.{alias.name}" not in sources and alias.name != "__version__"
    }
    assert taken == set()


def test_no_import_is_relative(sources: dict[str, Source]) -> None:
    relative = {
        source.name
        for source in sources.values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    }
    assert relative == set()


@pytest.mark.parametrize(("library", "home"), sorted(ONE_ROOM.items()))
def test_a_library_is_imported_in_one_room(
    sources: dict[str, Source], library: str, home: str
) -> None:
    strangers = [
        source.name
        for source in sources.values()
        if any(within(name, library) for name in source.imports_when_run)
        and not within(source.name, home)
    ]
    assert strangers == []


def test_no_module_but_command_starts_a_program(sources: dict[str, Source]) -> None:
    starters = {
        f"{source.name}: os.{node.attr}"
        for source in sources.values()
        if source.name != "slidearray.command"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"os", "asyncio", "pty"}
        and node.attr.startswith(STARTS_PROGRAMS)
    }
    assert starters == set()


def loaded(sources: dict[str, Source], *roots: str) -> list[Source]:
    """Our modules that are loaded with `roots`, and they themselves."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in sources and name not in seen:
            seen.add(name)
            waiting += [name.rpartition(".")[0], *sources[name].imports_at_start]
    return [sources[name] for name in sorted(seen)]


def test_the_supervisor_and_the_command_line_load_the_standard_library_only(
    sources: dict[str, Source],
) -> None:
    heavy = {
        f"{source.name}: {name}"
        for source in loaded(sources, *LIGHT)
        for name in source.imports_at_start
        if name.split(".")[0] not in {"slidearray", *sys.stdlib_module_names}
    }
    assert heavy == set()


def test_the_child_loads_nothing_that_reading_tiles_does_not_need(
    sources: dict[str, Source],
) -> None:
    heavy = {
        f"{source.name}: {name}"
        for source in loaded(sources, *CHILD)
        for name in source.imports_at_start
        if name.split(".")[0] in NOT_IN_THE_CHILD
    }
    assert heavy == set()


def test_the_entry_points_of_the_worker_exist(sources: dict[str, Source]) -> None:
    assert sources.keys() >= {*LIGHT, *CHILD}


def test_packages_hold_nothing_but_a_docstring(sources: dict[str, Source]) -> None:
    full = [
        source.name
        for source in sources.values()
        if source.path.name == "__init__.py" and source.name != "slidearray"
        for statement in source.tree.body[1:]
        if ast.unparse(statement) != "from __future__ import annotations"
    ]
    assert full == []
