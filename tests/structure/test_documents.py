"""The documents hold together, and use one word for one thing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SPOKEN_FOR = {"CHANGELOG.md", "CONTRIBUTING.md", "README.md"}

# What marks unfinished work, or a machine that readers do not have.
UNFINISHED = re.compile(
    r"\b(TODO|FIXME|TBD|placeholder|coming soon|for now|not yet implemented)\b"
    r"|/home/|/root/",
    re.IGNORECASE,
)

# One word each: slide, tile, features, run directory. Names in code spans are other people's.
SYNONYM = re.compile(r"\b(WSIs?|patch(es)?|embeddings?|workspace)\b", re.IGNORECASE)

CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


@pytest.fixture(scope="session")
def documents(checkout: Path) -> dict[Path, str]:
    """Every Markdown file of the checkout."""
    folders = [checkout / name for name in ("docs", "benchmarks", "templates", "cluster_profiles")]
    paths = [*checkout.glob("*.md"), *(path for top in folders for path in top.rglob("*.md"))]
    return {path: path.read_text(encoding="utf-8") for path in sorted(paths)}


def prose(text: str) -> str:
    return CODE_SPAN.sub("", CODE_BLOCK.sub("", text))


def anchors(text: str) -> set[str]:
    """The fragments that a heading can be linked by, as code hosts make them."""
    titles = (title.lower() for title in HEADING.findall(CODE_BLOCK.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken_links(path: Path, text: str) -> list[str]:
    broken = []
    for target in LINK.findall(prose(text)):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, fragment = unquote(target).partition("#")
        linked = path.parent / name if name else path
        if not linked.exists() or (
            fragment and fragment not in anchors(linked.read_text(encoding="utf-8"))
        ):
            broken.append(target)
    return broken


def test_the_documents_that_a_visitor_expects_are_there(documents: dict[Path, str]) -> None:
    assert {path.name for path in documents} >= SPOKEN_FOR


def test_no_link_is_broken(documents: dict[Path, str]) -> None:
    broken = {
        str(path): links for path, text in documents.items() if (links := broken_links(path, text))
    }
    assert broken == {}


def test_every_page_of_docs_is_linked_from_another(
    checkout: Path, documents: dict[Path, str]
) -> None:
    linked = {
        (path.parent / unquote(target).partition("#")[0]).resolve()
        for path, text in documents.items()
        for target in LINK.findall(prose(text))
    }
    pages = {path.resolve() for path in documents if (checkout / "docs") in path.parents}
    assert sorted(pages - linked) == []


def test_no_document_speaks_of_unfinished_work_or_of_one_machine(
    documents: dict[Path, str],
) -> None:
    found = {
        str(path): sorted({match.group() for match in UNFINISHED.finditer(text)})
        for path, text in documents.items()
        if UNFINISHED.search(text)
    }
    assert found == {}


def test_documents_use_one_word_for_one_thing(documents: dict[Path, str]) -> None:
    found = {
        str(path): sorted({match.group() for match in SYNONYM.finditer(prose(text))})
        for path, text in documents.items()
        if SYNONYM.search(prose(text))
    }
    assert found == {}
