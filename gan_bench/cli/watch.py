"""What a user sees while runs are made: bars on a terminal, plain lines elsewhere, JSON lines if asked for."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from gan_bench.record import Progress as News
from gan_bench.record import RunRecord, Score
from gan_bench.spec import RunSpec

if TYPE_CHECKING:
    from gan_bench.benchmark import Plan

QUIET_SECONDS = 10.0
"""Without a terminal, a line about a run's way is written at most this often."""


class Watch:
    """Observes a matrix; use it as a context manager, so that bars are cleared away whatever happens."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=True, highlight=False)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._specs: dict[str, RunSpec] = {}
        self._tasks: dict[str, TaskID] = {}
        self._matrix: TaskID | None = None
        self._count = 0
        self._total = 0
        self._said: dict[str, float] = {}

    def __enter__(self) -> Watch:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def notice(self, text: str) -> None:
        """Say something that the user must not miss."""
        if self.as_json:
            click.echo(json.dumps({"event": "notice", "text": text}))
        self._line(Text("note: ", style="bold yellow").append(text, style="not bold default"))

    def expect(self, plan: Plan) -> None:
        """Learn what there is to do, and say it."""
        self._specs = {spec.run_id: spec for spec in plan.specs}
        self._count, self._total = len(plan.finished), len(plan.specs)
        done = f", {len(plan.finished)} of them finished earlier" if plan.finished else ""
        dataset = plan.specs[0].dataset
        self._line(
            f"{self._total} run{'s' * (self._total != 1)}{done}: {dataset}, preset {plan.preset}, on {plan.device}"
        )
        self._matrix = self.bars.add_task("all runs", total=self._total, completed=self._count, note="")

    def __call__(self, news: News) -> None:
        """Hear what happened."""
        if news.kind == "notice":
            self.notice(news.text)
        elif news.kind == "evaluation":
            self._evaluation(news)
        elif news.kind in ("group", "step"):
            self._training(news)
        elif news.kind == "epoch":
            self._epoch(news)
        elif news.kind == "finished" and news.record is not None:
            self._finished(news.record, news.scores)

    def _training(self, news: News) -> None:
        first = news.run_ids[0]
        if first not in self._tasks:
            self._tasks[first] = self.bars.add_task(self._name(news.run_ids), total=news.total, note="")
        self.bars.update(self._tasks[first], completed=news.done)

    def _epoch(self, news: News) -> None:
        epoch, run_id = news.epoch, news.run_ids[0]
        if epoch is None:
            return
        note = f"D {epoch.d_loss:.3f}  G {epoch.g_loss:.3f}"
        if run_id in self._tasks:
            self.bars.update(self._tasks[run_id], completed=epoch.step, note=note)
        if self.as_json:
            click.echo(json.dumps({"event": "epoch", "run_id": run_id, **epoch.model_dump()}))
        if self._quiet(run_id):
            self._plain(f"{self._name((run_id,))}: epoch {epoch.epoch}, {note}, {epoch.epoch_seconds:.1f} s")

    def _evaluation(self, news: News) -> None:
        key = f"evaluation {'/'.join(news.run_ids)}"
        name = self._name(news.run_ids) if news.run_ids and news.text != "reference" else "real images and noise"
        if key not in self._tasks:
            self._tasks[key] = self.bars.add_task(f"  scoring {name}", total=news.total, note="")
            self._plain(f"scoring {name}: {news.total:,} images")
        self.bars.update(self._tasks[key], completed=news.done)
        if news.done >= news.total:
            self.bars.remove_task(self._tasks.pop(key))

    def _finished(self, record: RunRecord, scores: tuple[Score, ...]) -> None:
        self._count += 1
        if self._matrix is not None:
            self.bars.update(self._matrix, completed=self._count)
        task = self._tasks.pop(record.run_id, None)
        if task is not None:
            self.bars.remove_task(task)
        if self.as_json:
            values = {score.metric: score.value for score in scores if score.protocol == scores[0].protocol}
            click.echo(json.dumps({"event": "finished", **record.model_dump(), "scores": values}))
        self._line(self._outcome(record, scores))

    def _outcome(self, record: RunRecord, scores: tuple[Score, ...]) -> Text:
        style = {"done": "green", "diverged": "yellow", "failed": "red"}[record.status]
        line = Text(f"{self._count}/{self._total} ").append(record.status, style=style)
        line.append(f"  {self._name((record.run_id,))}  ")
        if record.status != "done":
            return line.append(record.reason)
        if scores:
            line.append(f"{scores[0].title} {scores[0].value:.4g}  ")
        line.append(f"trained in {record.train_seconds:.1f} s", style="dim")
        if record.verdict not in ("ok", ""):
            line.append(f"  {record.verdict}", style="yellow")
        return line

    def _name(self, run_ids: tuple[str, ...]) -> str:
        spec = self._specs.get(run_ids[0]) if run_ids else None
        if spec is None:
            return run_ids[0] if run_ids else "runs"
        if len(run_ids) > 1:
            return f"{spec.label} x{len(run_ids)} lanes"
        rates = f"{spec.lr_g:g}" if spec.lr_g == spec.lr_d else f"{spec.lr_g:g}:{spec.lr_d:g}"
        return f"{spec.label} lr {rates} seed {spec.seed}"

    def _quiet(self, key: str) -> bool:
        now = time.monotonic()
        if now - self._said.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._said[key] = now
        return True

    def _plain(self, text: str) -> None:
        if not self.console.is_terminal:
            self._line(text)

    def _line(self, text: str | Text) -> None:
        if self.console.is_terminal:
            self.bars.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 (rich would wrap it at 80 columns)
