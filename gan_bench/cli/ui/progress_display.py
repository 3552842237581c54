"""Progress of training and evaluation: bars on a terminal, plain lines elsewhere, JSON lines with --json."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType

from rich.progress import TaskID
from rich.text import Text

from gan_bench.cli.ui.output import console, echo, one_line, print_json
from gan_bench.cli.ui.profile_table import print_profile
from gan_bench.cli.ui.progress_bars import progress_bars
from gan_bench.core import events, signals
from gan_bench.core.errors import printable
from gan_bench.core.records import EpochRecord, RunRecord, Score, StepProfile
from gan_bench.core.training_spec import TrainingSpec

QUIET_SECONDS = 10.0
"""Without a terminal, the shortest time between two lines about one run."""


class ProgressDisplay:
    """Listener that shows events; a context manager, so that bars are always removed."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = console(stderr=True)
        self.bars = progress_bars(self.console)
        self._names: dict[str, str] = {}
        self._group_names: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {}
        self._steps: dict[str, tuple[int, int]] = {}
        """Steps made and total steps of each run in training."""
        self._all_runs = self.bars.add_task("starting", total=None, note="", unit="runs")
        self._ended: set[str] = set()
        """Runs that ended during this command; a retried one is counted again once it has ended again."""
        self._earlier = 0
        self._total = 0
        self.protocols: dict[str, None] = {}
        """Ids of the protocols that finished runs were evaluated under, in order."""
        self._printed_at: dict[str, float] = {}

    def __enter__(self) -> ProgressDisplay:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # the terminal may be closed; the exit code still counts
            self.bars.stop()

    def expect(self, summary: str, specs: Sequence[TrainingSpec], finished: int = 0) -> None:
        """Print a summary of the work, and count `specs`, of which `finished` are done already."""
        self._name_runs(specs)
        self._earlier, self._total = finished, len(specs)
        self._line(summary)
        self.bars.remove_task(self._all_runs)  # the clock of the new one starts now
        self._all_runs = self.bars.add_task(
            "all runs", total=len(specs), completed=finished, note="starting", unit="runs"
        )

    def note(self, text: str) -> None:
        """Show what is being done on the bar of all runs."""
        self.bars.update(self._all_runs, note=text)

    def show_earlier(self, record: RunRecord, scores: Mapping[str, Score]) -> None:
        """Print a run that was finished before this command; in JSON only."""
        if self.as_json:
            self._print_finished(record, {name: score.value for name, score in scores.items()}, earlier=True)

    def __call__(self, event: events.Event) -> None:
        """Show an event; a closed output is an error only until a stop is requested."""
        try:
            self._show(event)
        except OSError:
            if not signals.stop_requested():  # Ctrl-C ends `| tee` too: training still reaches its checkpoint
                raise

    def _show(self, event: events.Event) -> None:
        match event:
            case events.Notice(text):
                self._notice(text)
            case events.GroupStarted(run_ids, step, total_steps):
                self._ended.difference_update(run_ids)
                self._training(run_ids, step, total_steps)
            case events.StepProgress(run_ids, step, total_steps):
                self._training(run_ids, step, total_steps)
            case events.StepProfiled(run_ids, profile, trace):
                self._profile(run_ids, profile, trace)
            case events.EpochFinished(run_id, epoch):
                self._epoch(run_id, epoch)
            case events.EvaluationProgress(images, total_images, run_id):
                name = f"scoring {self._name((run_id,)) if run_id else 'real images and noise'}"
                self._images(f"evaluation {run_id}", name, images, total_images)
            case events.DecodingProgress(dataset, images, total_images):
                self._images(f"decoding {dataset}", f"decoding {dataset}", images, total_images)
            case events.RunFinished(record, scores):
                self._finished(record, scores)

    def _notice(self, text: str) -> None:
        if self.as_json:
            print_json({"event": "notice", "text": text})
        self._line(Text("note: ", style="bold yellow").append(printable(text), style="not bold default"))

    def _training(self, run_ids: tuple[str, ...], step: int, total_steps: int) -> None:
        first = run_ids[0]
        if first not in self._tasks:
            name = self._name(run_ids)
            self._tasks[first] = self.bars.add_task(name, total=total_steps, note="", unit="steps")
        self.bars.update(self._tasks[first], completed=step)
        for run_id in set(run_ids) - self._ended:  # a lane may end before the others of its group
            self._steps[run_id] = (step, total_steps)
        self._update_count()

    def _epoch(self, run_id: str, epoch: EpochRecord) -> None:
        note = f"D {epoch.d_loss:.3f}  G {epoch.g_loss:.3f}"
        if run_id in self._tasks:
            self.bars.update(self._tasks[run_id], completed=epoch.step, note=note)
        if run_id in self._steps:
            self._steps[run_id] = (epoch.step, self._steps[run_id][1])
            self._update_count()
        if self.as_json:
            print_json({"event": "epoch", "run_id": run_id, **epoch.model_dump()})
        if not self.console.is_terminal and self._is_due(run_id):
            step = f"epoch {epoch.epoch}, step {epoch.step:,}"
            self._line(f"{self._name((run_id,))}: {step}, {note}{self._remaining()}")

    def _profile(self, run_ids: tuple[str, ...], profile: StepProfile, trace: str) -> None:
        if self.console.is_terminal:
            self.bars.stop()  # the table goes to stdout, between the bars
        print_profile(self._name(run_ids), run_ids, profile, trace, self.as_json)
        if self.console.is_terminal:
            self.bars.start()

    def _images(self, key: str, name: str, images: int, total_images: int) -> None:
        """Show how many images of a set are scored or decoded."""
        if key not in self._tasks:
            self._tasks[key] = self.bars.add_task(f"  {name}", total=total_images, note="", unit="images")
            if not self.console.is_terminal and self._is_due(key):
                self._line(f"{name}: {total_images:,} images")
        self.bars.update(self._tasks[key], completed=images)
        if images >= total_images:
            self.bars.remove_task(self._tasks.pop(key))

    def _finished(self, record: RunRecord, scores: tuple[Score, ...]) -> None:
        self._steps.pop(record.run_id, None)
        self._ended.add(record.run_id)
        self._update_count()
        for key in (record.run_id, f"evaluation {record.run_id}"):
            task = self._tasks.pop(key, None)
            if task is not None:
                self.bars.remove_task(task)
        self.protocols |= dict.fromkeys(score.protocol.protocol_id for score in scores)
        values = _mean_values(scores)
        if self.as_json:
            self._print_finished(record, values, earlier=False)
        self._line(self._outcome(record, scores[0].title if scores else "", values))

    def _print_finished(self, record: RunRecord, values: Mapping[str, float], *, earlier: bool) -> None:
        print_json({"event": "finished", "earlier": earlier, **record.model_dump(), "scores": values})

    def _outcome(self, record: RunRecord, title: str, values: Mapping[str, float]) -> Text:
        style = {"done": "green", "diverged": "yellow", "failed": "red"}[record.status]
        width = len(str(self._total))
        line = Text(f"{self._count():>{width}}/{self._total} ").append(record.status, style=style)
        line.append(f"  {self._name((record.run_id,))}  ")
        if record.status != "done":
            return line.append(one_line(record.reason))
        if record.failure:
            return line.append(f"evaluation failed: {one_line(record.failure)}", style="red")
        if values:
            line.append(f"{title} {_score_text(next(iter(values.values()))):>6}  ")
        line.append(f"in {_time_text(record.train_seconds)}", style="dim")
        if record.verdict not in ("ok", ""):
            line.append(f"  {record.verdict}", style="yellow")
        return line

    def _name_runs(self, specs: Sequence[TrainingSpec]) -> None:
        """Name every run, padded so that lines about different runs align."""
        from gan_bench.core.numbers import rate_text

        if not specs:
            return
        rates = {spec.run_id: rate_text(spec.lr_g, spec.lr_d) for spec in specs}
        label_width = max(len(_label(spec, specs)) for spec in specs)
        rate_width, seed_width = max(map(len, rates.values())), max(len(str(spec.seed)) for spec in specs)
        for spec in specs:
            label, rate = f"{_label(spec, specs):<{label_width}}", f"{rates[spec.run_id]:<{rate_width}}"
            self._names[spec.run_id] = f"{label}  lr {rate}  seed {spec.seed:>{seed_width}}"
            self._group_names[spec.run_id] = label

    def _name(self, run_ids: tuple[str, ...]) -> str:
        if len(run_ids) > 1 and run_ids[0] in self._group_names:
            return f"{self._group_names[run_ids[0]]}  {len(run_ids)} lanes"
        return self._names.get(run_ids[0], run_ids[0])

    def _count(self) -> int:
        return self._earlier + len(self._ended)

    def _update_count(self) -> None:
        """Count runs in training by their trained fraction, without reaching the next whole run."""
        fractions = 0.999 * sum(min(1.0, step / max(1, total)) for step, total in self._steps.values())
        self.bars.update(self._all_runs, completed=self._count() + fractions, note="")

    def _remaining(self) -> str:
        task = next(task for task in self.bars.tasks if task.id == self._all_runs)
        seconds = task.time_remaining
        return "" if seconds is None else f"; all runs: {timedelta(seconds=round(seconds))} left"

    def _is_due(self, key: str) -> bool:
        now = time.monotonic()
        if now - self._printed_at.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._printed_at[key] = now
        return True

    def _line(self, text: str | Text) -> None:
        if self.console.is_terminal:
            self.bars.console.print(text, markup=False)
        else:
            echo(str(text), err=True)  # rich would wrap it


def _mean_values(scores: Sequence[Score]) -> dict[str, float]:
    """Return each metric's mean over draws, of the first score's protocol and step."""
    draws: dict[str, list[float]] = {}
    for score in scores:
        if (score.protocol, score.step) == (scores[0].protocol, scores[0].step):
            draws.setdefault(score.metric, []).append(score.value)
    return {metric: statistics.fmean(values) for metric, values in draws.items()}


def _label(spec: TrainingSpec, among: Sequence[TrainingSpec]) -> str:
    """Return the training's label, with the image size where another run has the same label."""
    sizes = {other.image_size for other in among if other.label == spec.label}
    return spec.label if len(sizes) == 1 else f"{spec.label} {spec.image_size} px"


def _time_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _score_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
