"""The code stays small enough to read: sizes, public names, first lines."""

from __future__ import annotations

import ast
import importlib
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.structure.conftest import Source

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MEDIAN_FUNCTION_LINES = 8
MAX_POSITIONAL = 3  # `self` and `cls` not counted


def function_lengths(tree: ast.Module) -> list[tuple[int, str]]:
    """Lines of every function, docstring included, with its name."""
    return [
        (1 + (node.end_lineno or node.lineno) - node.lineno, node.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def python_files(checkout: Path) -> list[Path]:
    return sorted(
        path for top in ("src", "tests", "benchmarks") for path in (checkout / top).rglob("*.py")
    )


def test_no_file_is_longer_than_the_cap(checkout: Path) -> None:
    long = {
        str(path.relative_to(checkout)): count
        for path in python_files(checkout)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_the_cap(checkout: Path) -> None:
    long = {
        f"{path.relative_to(checkout)}: {name}": length
        for path in python_files(checkout)
        for length, name in function_lengths(ast.parse(path.read_text(encoding="utf-8")))
        if length > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_the_usual_function_is_short(sources: dict[str, Source]) -> None:
    lengths = [length for source in sources.values() for length, _ in function_lengths(source.tree)]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION_LINES


def positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Parameters that can be given by position alone; `self` and `cls` are none."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def test_what_a_call_gives_by_position_can_be_told_apart(sources: dict[str, Source]) -> None:
    many = {
        f"{source.name}.{node.name}": names
        for source in sources.values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if len(names := positional(node)) > MAX_POSITIONAL
    }
    assert many == {}


def test_public_names_are_sorted_and_exist(sources: dict[str, Source]) -> None:
    for name in sources:
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        names = getattr(module, "__all__", [])
        assert list(names) == sorted(names), name
        assert [each for each in names if not hasattr(module, each)] == [], name


def test_every_file_postpones_its_annotations(checkout: Path) -> None:
    without = [
        str(path.relative_to(checkout))
        for path in python_files(checkout)
        if (text := path.read_text(encoding="utf-8"))
        and len(ast.parse(text).body) > 1
        and "from __future__ import annotations" not in text
    ]
    assert without == []
