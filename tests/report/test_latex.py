"""Leaderboards as LaTeX: structure, numbers in bold only where they are clearly best, and text that stays text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.made_runs import build, build_many, make_scores, make_spec

from gan_bench.report.page.latex import escaped, render_latex
from gan_bench.report.report_data import report_data


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def body(text: str) -> list[list[str]]:
    """The cells of every row of all tables, headings included."""
    return [cells(line.strip()) for line in text.splitlines() if line.strip().endswith(r"\\")]


def test_a_table_has_booktabs_rules_a_row_for_each_model_and_real_images(tmp_path: Path) -> None:
    text = render_latex(report_data(build_many(tmp_path, pictures=False)))
    for part in (
        r"\begin{tabular}",
        r"\toprule",
        r"\bottomrule",
        r"\caption{GANs on mnist.}",
        r"\usepackage{booktabs}",
    ):
        assert text.count(part) == 1
    assert text.count(r"\midrule") == 2
    heading, *rows = body(text)
    assert [row[0] for row in rows] == ["dcgan28", "vanilla", "real images"]
    assert {len(row) for row in (heading, *rows)} == {len(heading)}
    assert heading[:3] == ["model", r"FID (mnist-cnn) $\downarrow$", r"95\% interval"]
    assert r"Precision $\uparrow$" in heading
    assert rows[2][1] == "0.400"
    assert "mnist, mnist-cnn, 10,000 generated against 10,000 real test images" in text


@pytest.mark.parametrize(("seeds", "bold"), [(range(6), True), (range(2), False)])
def test_the_best_is_bold_only_where_it_is_clearly_best(tmp_path: Path, seeds: range, bold: bool) -> None:
    runs = build_many(tmp_path, seeds=seeds, lrs=(2e-4,), pictures=False)
    fid = {row[0]: row[1] for row in body(render_latex(report_data(runs)))}
    assert fid["dcgan28"].startswith(r"\textbf{") == bold
    assert "textbf" not in fid["vanilla"]


def test_every_protocol_and_data_set_has_a_table(tmp_path: Path) -> None:
    runs = build_many(tmp_path, pictures=False, evaluation={"extractors": ("mnist-cnn", "inception")})
    runs += build_many(tmp_path, pictures=False, dataset="kmnist")
    text = render_latex(report_data(runs))
    assert text.count(r"\begin{tabular}") == len(set(re.findall(r"\\label\{(tab:p\w{8})\}", text))) == 3


def test_runs_without_scores_give_no_table(tmp_path: Path) -> None:
    assert "tabular" not in render_latex(
        report_data([build(tmp_path, make_spec(), pictures=False, status="failed")])
    )


def test_checks_of_verdicts_are_no_columns(tmp_path: Path) -> None:
    spec = make_spec()
    scores = make_scores(spec)
    scores.append(scores[0].model_copy(update={"metric": "duplicate_share", "title": "duplicates"}))
    assert "duplicates" not in render_latex(report_data([build(tmp_path, spec, pictures=False, scores=scores)]))


def test_text_of_others_stays_text(tmp_path: Path) -> None:
    hostile = r"\input{/etc/passwd}%$&#_{}~^<|>" + "\x1b\n\\end{tabular}"
    shown = escaped(hostile)
    assert "\n" not in shown
    assert "\x1b" not in shown
    commands = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", shown
    )
    assert not re.search(r"[\\&%$#_{}~^<>|]", re.sub(r"\\[&%$#_{}]", "", commands))
    spec = make_spec()
    scores = [
        score.model_copy(update={"title": "100% $x_1$ & more"}) if score.metric == "fid" else score
        for score in make_scores(spec)
    ]
    text = render_latex(report_data([build(tmp_path, spec, pictures=False, scores=scores)]))
    assert r"100\% \$x\_1\$ \& more" in text
    assert {len(row) for row in body(text)} == {len(body(text)[0])}


def test_a_label_is_not_read_as_the_argument_of_the_row_before(tmp_path: Path) -> None:
    runs = build_many(tmp_path, pictures=False, lrs=(2e-4,))
    starred = [replace(run, spec=run.spec.model_copy(update={"model": f"*{run.spec.model}"})) for run in runs]
    assert [row[0] for row in body(render_latex(report_data(starred)))][1:3] == ["{}*dcgan28", "{}*vanilla"]
