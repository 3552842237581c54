"""The `gan-bench` command: its sub-commands, error lines and exit codes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from collections import UserDict
from types import FrameType
from typing import Any, NoReturn, cast

import click

from gan_bench._version import __version__
from gan_bench.core import signals
from gan_bench.core.errors import GanBenchError
from gan_bench.core.standard_streams import open_standard_streams

TRACEBACK = "GAN_BENCH_TRACEBACK"
"""Environment variable that shows tracebacks of defects."""
STOPPED = "Stopped. Run the same command to continue."
NO_ARGS_IS_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""Raised by newer click where `gan-bench` is typed alone, to show its help."""
COMMANDS = {
    "run": "Train, evaluate, time and store a matrix.",
    "worker": "Train what is left of a planned matrix, beside other workers.",
    "submit": "Print a script of workers for Slurm or Kubernetes.",
    "eval": "Evaluate finished runs under another protocol.",
    "report": "Write the tables, plots and page of a results folder.",
    "compare": "Compare two models, or two results folders.",
    "status": "Show which runs are done, running, failed, diverged, pending.",
    "list": "List models, losses, penalties, data sets, metrics, ...",
    "show": "Show a model: layers, shapes, FLOPs, recipe, paper.",
    "sample": "Draw images from a run's generator.",
    "doctor": "Check devices, versions, data, weights and disk.",
}
"""Short helps; the command `name` is the object `name_`, or `name` where there is none, of gan_bench.cli.name."""


class Terminated(BaseException):
    """SIGTERM arrived while nothing is trained; unwinds as KeyboardInterrupt does."""

    exit_code = 143


class LazyCommands(UserDict[str, Any]):
    """The commands by name, in place of their short helps once they are looked up: help imports none of them."""

    def __getitem__(self, name: str) -> click.Command:
        if isinstance(self.data[name], str):
            module = importlib.import_module(f"gan_bench.cli.{name}")
            self.data[name] = getattr(module, f"{name}_", None) or getattr(module, name)
        return cast("click.Command", self.data[name])


class Main(click.Group):
    """Turns exceptions into one line on stderr and the exit codes of the contract."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their short helps; imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **values: Any) -> Any:
        """Run the command with its standard streams open."""
        open_standard_streams()
        return super().main(*args, **values)

    def make_context(self, *args: Any, **values: Any) -> click.Context:
        """Parse the options before the sub-command; a mistake is one line, as it is after it."""
        try:
            return super().make_context(*args, **values)
        except click.UsageError as error:
            if isinstance(error, NO_ARGS_IS_HELP):
                raise
            _fail(f"{' '.join(error.format_message().split()).rstrip('.')}; see gan-bench --help", 2)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a sub-command; 2: invalid input, 1: a failure, 130 or 143: interrupted."""
        for number in signals.SIGNALS[1:]:  # while nothing is trained; Ctrl-C is handled by Python
            signal.signal(number, _terminate)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a character shows ? instead
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if isinstance(error, NO_ARGS_IS_HELP):
                raise
            message = " ".join(error.format_message().split()).rstrip(".")
            _fail(f"{message}; see gan-bench {ctx.invoked_subcommand or ''} --help".replace("  ", " "), 2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except GanBenchError as error:
            _fail(str(error), error.exit_code)
        except (signals.Interrupted, Terminated) as stop:
            _exit(STOPPED, stop.exit_code)
        except KeyboardInterrupt:
            _exit(STOPPED, signals.exit_code(signal.SIGINT))
        except BrokenPipeError:  # the reader of our output has closed it
            _discard_output()
            raise SystemExit(1) from None
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            _fail(*_explain(error))


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _fail(text: str, code: int) -> NoReturn:
    _exit(f"Error: {text}", code)


def _exit(text: str, code: int) -> NoReturn:
    from gan_bench.cli.ui.output import print_error_line

    with contextlib.suppress(OSError):  # stderr may be closed; the exit code still counts
        print_error_line(text)
    _discard_output()
    raise SystemExit(code) from None


def _discard_output() -> None:
    """Redirect closed streams to the null device: flushing them at exit would end the process with code 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _explain(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code for an exception that is not gan_bench's own."""
    from gan_bench.core.failures import failure_reason, is_out_of_memory

    text = str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        if error.errno == errno.ENAMETOOLONG:
            return f"{where}longer than the system allows for a path; type a shorter one", 2
        return f"the system refused: {where}{(error.strerror or text).lower()}", 1
    if is_out_of_memory(f"{type(error).__name__}: {text}"):
        hint = "free some memory, or type another --device, a smaller --batch-size or fewer --eval-samples"
        return f"{failure_reason(error)}: {hint}", 1
    if "torchvision::nms" in text:
        from gan_bench.data.archives import torchvision_error

        return torchvision_error(error), 1
    return f"{type(error).__name__}: {text} (this is a defect; {TRACEBACK}=1 shows where)", 1


@click.group(
    cls=Main,
    commands=LazyCommands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="gan-bench")
def main() -> None:
    """Compare GANs: train them side by side, score them, time them, and report how certain the differences are.

    \b
    A first result:   gan-bench run --models vanilla,dcgan
    Its report:       gan-bench report
    """
