"""Models as the page shows them: short names with a key, and at most eight colors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gan_bench.core.errors import printable
from gan_bench.report.report_data import ReportData

MAX_NAME = 24
"""Characters of a label that is its own short name."""
LIGHT = ("#0b62a8", "#b35900", "#0a7a55", "#a8328c", "#b3261e", "#5b4bc4", "#6f6a00", "#00788a")
DARK = ("#6db3ee", "#f0a24b", "#4cc79a", "#ec8bd2", "#ff8a80", "#a99cff", "#cfc64a", "#4ccbdd")
"""Colors with a contrast of at least 3:1 on the page's light and dark ground; further models are grey."""


@dataclass(frozen=True)
class PageModel:
    """A label of the report on the page."""

    index: int
    """Position among the page's models, best of the main protocol first; its CSS class is `m<index>`."""
    label: str
    name: str
    """The label, or a short name for a long one."""

    @property
    def color(self) -> str:
        """The CSS variable of its color, which the page's script may change."""
        return f"var(--m{self.index})"

    @property
    def long(self) -> bool:
        """Whether the label has a short name."""
        return self.name != self.label


def page_models(data: ReportData) -> dict[str, PageModel]:
    """Return the page's models by label: ranked ones first, in the order of the protocols."""
    ranked = [str(label) for key in data.protocols for label in data.board(key)["label"]]
    labels = list(dict.fromkeys([*ranked, *sorted(data.runs["label"].unique())]))
    names = short_names(labels)
    return {label: PageModel(index, label, names[label]) for index, label in enumerate(labels)}


def short_names(labels: Sequence[str]) -> dict[str, str]:
    """Return distinct names of at most about MAX_NAME characters; a long label's settings become a letter."""
    heads = {label: _head(label) for label in labels}
    shared = Counter(heads.values())
    used: Counter[str] = Counter()
    names: dict[str, str] = {}
    for label in labels:
        head = heads[label]
        if head == label:
            names[label] = printable(label)
            continue
        used[head] += 1
        mark = _letters(used[head]) if shared[head] > 1 else "*" if "(" in label else ""
        names[label] = printable(f"{head} {mark}".rstrip())
    return names


def _head(label: str) -> str:
    """Return what a label's short name starts with: itself, or its part before the settings."""
    if len(label) <= MAX_NAME:
        return label
    head = label.partition(" (")[0]
    return head if len(head) <= MAX_NAME else f"{head[: MAX_NAME - 1]}…"


def _letters(number: int) -> str:
    """Return 1 as A, 26 as Z, 27 as AA."""
    text = ""
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def color_rules(count: int) -> str:
    """Return CSS variables and classes of `count` models' colors, for light, dark and print."""
    light, dark = (";".join(f"--c{i}:{color}" for i, color in enumerate(colors)) for colors in (LIGHT, DARK))
    own = ";".join(f"--m{i}:var(--c{i})" if i < len(LIGHT) else f"--m{i}:var(--grey)" for i in range(count))
    classes = "".join(f".m{i}{{--own:var(--m{i})}}" for i in range(count))
    return f":root{{{light};{own}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{classes}"
