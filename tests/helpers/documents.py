"""The pages of the documentation, their code blocks, shell commands and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
EXAMPLES = {name: text for name, text in PAGES.items() if name != "CHANGELOG.md"}
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced code block; `title` is the file name of a plugin example."""

    page: str
    line: int
    language: str
    title: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str | None = None, page: str | None = None) -> list[Block]:
    found = []
    for name, text in EXAMPLES.items():
        for match in FENCE.finditer(text):
            title = re.search(r'title="([^"]*)"', match[2])
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(name, line, match[1], title[1] if title else "", match[3]))
    return [each for each in found if language in (None, each.language) and page in (None, each.page)]


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a bash block as words, without comments."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            if words := shlex.split(part, comments=True):
                yield words


def headings(text: str) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
