"""What a user sees while runs are made: bars on a terminal, plain lines elsewhere, JSON lines if asked for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import TaskID
from rich.text import Text

from gan_bench import interruption
from gan_bench.cli.bars import bars, seconds_left
from gan_bench.cli.profile import print_profile
from gan_bench.cli.tables import one_line, print_json
from gan_bench.errors import printable
from gan_bench.record import Progress as News
from gan_bench.record import RunRecord, Score, StepProfile
from gan_bench.spec import RunSpec

if TYPE_CHECKING:
    from gan_bench.planning import Plan

QUIET_SECONDS = 10.0
"""Without a terminal, a line about a run's way is written at most this often."""


class Watch:
    """Observes a matrix; use it as a context manager, so that bars are cleared away whatever happens."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=True, highlight=False)
        self.bars = bars(self.console)
        self._names: dict[str, str] = {}
        self._lanes_names: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {}
        self._steps: dict[str, tuple[int, int]] = {}
        """How many steps of how many each run in work is trained."""
        self._matrix = self.bars.add_task("starting", total=None, note="", unit="runs")
        self._over: set[str] = set()
        """Runs that have ended here; one that is tried again is counted once it has ended again."""
        self._earlier = 0
        self._total = 0
        self._said: dict[str, float] = {}

    def __enter__(self) -> Watch:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone: the exit code is still to be told
            self.bars.stop()

    def notice(self, text: str) -> None:
        """Say something that the user must not miss."""
        if self.as_json:
            print_json({"event": "notice", "text": text})
        self._line(Text("note: ", style="bold yellow").append(printable(text), style="not bold default"))

    def expect(self, plan: Plan) -> None:
        """Learn what there is to do, and say it."""
        self._name_runs(plan.specs)
        self._earlier, self._total = len(plan.finished), len(plan.specs)
        done = f", {self._earlier} of them finished earlier" if self._earlier else ""
        dataset = plan.specs[0].dataset
        self._line(
            f"{self._total} run{'s' * (self._total != 1)}{done}: {dataset}, preset {plan.preset}, on {plan.device}"
        )
        self.bars.remove_task(self._matrix)  # the new one's clock starts now
        self._matrix = self.bars.add_task(
            "all runs",
            total=self._total,
            completed=self._earlier,
            before=self._earlier,
            note="starting",
            unit="runs",
        )

    def _name_runs(self, specs: tuple[RunSpec, ...]) -> None:
        """Give every run a name, padded so that lines about different runs stand in columns."""
        from gan_bench.report.frame import rate_text

        rates = {spec.run_id: rate_text(spec.lr_g, spec.lr_d) for spec in specs}
        label = max(len(_label(spec, specs)) for spec in specs)
        rate, seed = max(map(len, rates.values())), max(len(str(spec.seed)) for spec in specs)
        for spec in specs:
            head = f"{_label(spec, specs):<{label}}"
            self._names[spec.run_id] = f"{head}  lr {rates[spec.run_id]:<{rate}}  seed {spec.seed:>{seed}}"
            self._lanes_names[spec.run_id] = head

    def __call__(self, news: News) -> None:
        """Hear what happened. Nobody may read it any more: that matters only while nobody asked for the end."""
        try:
            self._hear(news)
        except OSError:
            if not interruption.asked():  # Ctrl-C ends `| tee`, too: the way to the checkpoint goes on
                raise

    def _hear(self, news: News) -> None:
        if news.kind == "notice":
            self.notice(news.text)
        elif news.kind == "evaluation":
            self._evaluation(news)
        elif news.kind in ("group", "step"):
            self._training(news)
        elif news.kind == "epoch":
            self._epoch(news)
        elif news.kind == "profile" and news.profile is not None:
            self._profile(news.run_ids, news.profile, news.text)
        elif news.kind == "finished" and news.record is not None:
            self._finished(news.record, news.scores)

    def note(self, text: str) -> None:
        """Say on the bar of all runs what is being done."""
        self.bars.update(self._matrix, note=text)

    def _training(self, news: News) -> None:
        first = news.run_ids[0]
        if news.kind == "group":
            self._over.difference_update(news.run_ids)
        if first not in self._tasks:
            self._tasks[first] = self.bars.add_task(
                self._name(news.run_ids), total=news.total, note="", unit="steps"
            )
        self.bars.update(self._tasks[first], completed=news.done)
        for run_id in set(news.run_ids) - self._over:  # a lane may be over before its neighbours are
            self._steps[run_id] = (news.done, news.total)
        self._count_up()

    def _count_up(self) -> None:
        """Count runs in work by their trained part, but never up to the next whole run."""
        parts = 0.999 * sum(min(1.0, done / max(1, total)) for done, total in self._steps.values())
        self.bars.update(self._matrix, completed=self._count() + parts, note="")

    def _count(self) -> int:
        return self._earlier + len(self._over)

    def _epoch(self, news: News) -> None:
        epoch, run_id = news.epoch, news.run_ids[0]
        if epoch is None:
            return
        note = f"D {epoch.d_loss:.3f}  G {epoch.g_loss:.3f}"
        if run_id in self._tasks:
            self.bars.update(self._tasks[run_id], completed=epoch.step, note=note)
        if run_id in self._steps:
            self._steps[run_id] = (epoch.step, self._steps[run_id][1])
            self._count_up()
        if self.as_json:
            print_json({"event": "epoch", "run_id": run_id, **epoch.model_dump()})
        if not self.console.is_terminal and self._quiet(run_id):
            self._line(f"{self._name((run_id,))}: epoch {epoch.epoch}, step {epoch.step:,}, {note}{self._left()}")

    def _profile(self, run_ids: tuple[str, ...], profile: StepProfile, trace: str) -> None:
        if self.console.is_terminal:
            self.bars.stop()  # what goes to stdout knows nothing of bars in its way
        print_profile(self._name(run_ids), run_ids, profile, trace, self.as_json)
        if self.console.is_terminal:
            self.bars.start()

    def _left(self) -> str:
        task = next(task for task in self.bars.tasks if task.id == self._matrix)
        seconds = seconds_left(task)
        return "" if seconds is None else f"; all runs: {timedelta(seconds=round(seconds))} left"

    def _evaluation(self, news: News) -> None:
        key = f"evaluation {'/'.join(news.run_ids)}"
        reference = news.text == "reference" or not news.run_ids
        name = "real images and noise" if reference else self._name(news.run_ids)
        if key not in self._tasks:
            self._tasks[key] = self.bars.add_task(f"  scoring {name}", total=news.total, note="", unit="images")
            if not self.console.is_terminal and self._quiet(key):
                self._line(f"scoring {name}: {news.total:,} images")
        self.bars.update(self._tasks[key], completed=news.done)
        if news.done >= news.total:
            self.bars.remove_task(self._tasks.pop(key))

    def earlier(self, record: RunRecord, scores: Mapping[str, Score]) -> None:
        """Hear of a run that was finished before this command; only programs are told again."""
        if self.as_json:
            values = {name: score.value for name, score in scores.items()}
            print_json({"event": "finished", "earlier": True, **record.model_dump(), "scores": values})

    def _finished(self, record: RunRecord, scores: tuple[Score, ...]) -> None:
        self._steps.pop(record.run_id, None)
        self._over.add(record.run_id)
        self._count_up()
        for key in (record.run_id, f"evaluation {record.run_id}"):
            task = self._tasks.pop(key, None)
            if task is not None:
                self.bars.remove_task(task)
        if self.as_json:
            values = {score.metric: score.value for score in scores if score.protocol == scores[0].protocol}
            print_json({"event": "finished", "earlier": False, **record.model_dump(), "scores": values})
        self._line(self._outcome(record, scores))

    def _outcome(self, record: RunRecord, scores: tuple[Score, ...]) -> Text:
        style = {"done": "green", "diverged": "yellow", "failed": "red"}[record.status]
        width = len(str(self._total))
        line = Text(f"{self._count():>{width}}/{self._total} ").append(record.status, style=style)
        line.append(f"  {self._name((record.run_id,))}  ")
        if record.status != "done":
            return line.append(one_line(record.reason))
        if scores:
            line.append(f"{scores[0].title} {_score_text(scores[0].value):>6}  ")
        line.append(f"in {_time_text(record.train_seconds)}", style="dim")
        if record.verdict not in ("ok", ""):
            line.append(f"  {record.verdict}", style="yellow")
        return line

    def _name(self, run_ids: tuple[str, ...]) -> str:
        if len(run_ids) > 1 and run_ids[0] in self._lanes_names:
            return f"{self._lanes_names[run_ids[0]]}  {len(run_ids)} lanes"
        return self._names.get(run_ids[0], run_ids[0])

    def _quiet(self, key: str) -> bool:
        now = time.monotonic()
        if now - self._said.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._said[key] = now
        return True

    def _line(self, text: str | Text) -> None:
        if self.console.is_terminal:
            self.bars.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 (rich would wrap it at 80 columns)


def _label(spec: RunSpec, among: tuple[RunSpec, ...]) -> str:
    """Return the training's label, with the image size where another run has the same label."""
    sizes = {other.image_size for other in among if other.label == spec.label}
    return spec.label if len(sizes) == 1 else f"{spec.label} {spec.image_size} px"


def _time_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _score_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
