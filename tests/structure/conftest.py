"""The package as data: the source of each module, and what it imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One module of the package."""

    name: str  # dotted, e.g. slidearray.core.ids
    path: Path
    text: str
    tree: ast.Module
    imports: frozenset[str]  # dotted, wherever in the file they stand
    imports_when_run: frozenset[str]  # those that are for more than annotations
    imports_at_start: frozenset[str]  # those that run when the module is loaded


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def sources() -> dict[str, Source]:
    """Every module of the package, by dotted name."""
    root = CHECKOUT / "src"
    paths = {_dotted(path.relative_to(root)): path for path in root.rglob("*.py")}
    return {name: _source(name, path, known=frozenset(paths)) for name, path in paths.items()}


def _dotted(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _source(name: str, path: Path, *, known: frozenset[str]) -> Source:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    at_start = [node for node in tree.body if not _is_type_checking(node)]
    run = [inner for node in at_start for inner in ast.walk(node)]
    late = {id(inner) for node in at_start if _is_definition(node) for inner in ast.walk(node)}
    return Source(
        name=name,
        path=path,
        text=text,
        tree=tree,
        imports=_imported(ast.walk(tree), known),
        imports_when_run=_imported(run, known),
        imports_at_start=_imported((node for node in run if id(node) not in late), known),
    )


def _is_definition(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imported(nodes: Iterable[ast.AST], known: frozenset[str]) -> frozenset[str]:
    """Dotted names; ``from slidearray.core import ids`` counts as ``slidearray.core.ids``."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            dotted = {f"{module}.{alias.name}" for alias in node.names}
            names |= {each if each in known else module for each in dotted}
    return frozenset(names)
