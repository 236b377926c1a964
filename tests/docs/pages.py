"""Reading the pages of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"

Rows = list[list[str]]


def chapters(page: str) -> dict[str, str]:
    """The text under each second-level heading of a page."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    found = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    titles = found[1::2]
    assert len(titles) == len(set(titles))
    return dict(zip(titles, found[2::2], strict=True))


def rows_of(chapter: str) -> Rows:
    """The rows of a chapter's one table, without its head."""
    lines = [line for line in chapter.splitlines() if line.startswith("|")]
    # A `|` in a cell is written `\|`.
    rows = [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    assert all(len(row) == len(rows[0]) for row in rows), chapter
    return rows[2:]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def plain(cell: str) -> str:
    return cell.replace("`", "")


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in one language, in order."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
