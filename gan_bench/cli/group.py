"""The command `gan-bench` itself: its sub-commands, and what a user sees when something goes wrong."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from gan_bench import interruption
from gan_bench._version import __version__
from gan_bench.cli.compare import compare
from gan_bench.cli.doctor import doctor
from gan_bench.cli.list import list_
from gan_bench.cli.report import report
from gan_bench.cli.run import run
from gan_bench.cli.sample import sample
from gan_bench.cli.show import show
from gan_bench.cli.status import status
from gan_bench.errors import InputError, RunError, printable

TRACEBACK = "GAN_BENCH_TRACEBACK"
HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What newer click raises where `gan-bench` is typed alone, to show its help."""


class Terminated(BaseException):
    """SIGTERM arrived; unwinds as KeyboardInterrupt does."""


class Commands(click.Group):
    """Turns whatever goes wrong into one clear line and the contract's exit codes."""

    def invoke(self, context: click.Context) -> Any:
        """Run a sub-command; 2: the input was wrong, 1: something failed, 130 or 143: interrupted."""
        for number in interruption.SIGNALS[1:]:  # while nothing is trained; Ctrl-C is Python's own
            signal.signal(number, _terminate)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows ? for it
        try:
            return super().invoke(context)
        except click.UsageError as error:
            if isinstance(error, HELP):
                raise
            what = " ".join(error.format_message().split()).rstrip(".")
            _leave(f"{what}; see gan-bench {context.invoked_subcommand or ''} --help".replace("  ", " "), 2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except InputError as error:
            _leave(str(error), 2)
        except RunError as error:
            _leave(str(error), 1)
        except interruption.Interrupted as stop:
            _leave(f"stopped by {stop}: what is finished is kept; the same command continues", stop.exit_code)
        except KeyboardInterrupt:
            _leave("interrupted: what is finished is kept; the same command continues", 130)
        except Terminated:
            _leave("terminated: what is finished is kept; the same command continues", 143)
        except BrokenPipeError:  # whoever read us has gone
            _forget_unread()
            raise SystemExit(1) from None
        except OSError as error:
            if os.environ.get(TRACEBACK):
                raise
            what = f"{error.filename}: " if error.filename else ""
            if error.errno == errno.ENAMETOOLONG:
                _leave(f"{what}this is longer than the system lets a path be; type a shorter one", 2)
            _leave(f"the system refused: {what}{(error.strerror or str(error)).lower()}", 1)
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            _leave(_explain(error), 1)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _leave(text: str, code: int) -> NoReturn:
    with contextlib.suppress(OSError):  # nobody may read it any more: the exit code still tells
        click.echo(printable(f"Error: {text}"), err=True)
    _forget_unread()
    raise SystemExit(code) from None


def _forget_unread() -> None:
    """Let what nobody can read any more go nowhere: the interpreter would try again, fail, and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _explain(error: Exception) -> str:
    from gan_bench.reason import is_lack_of_memory, reason_of

    text = str(error)
    if is_lack_of_memory(f"{type(error).__name__}: {text}"):
        room = "make room for it, or type another --device, a smaller --batch-size or fewer --eval-samples"
        return f"{reason_of(error)}: {room}"
    if "torchvision::nms" in text:
        from importlib.metadata import version

        return (
            f"torch {version('torch')} and torchvision {version('torchvision')} are not built for each other "
            "(one for CPU, the other for CUDA, most often): install both again from the same source"
        )
    return f"{type(error).__name__}: {text} (this is a defect; {TRACEBACK}=1 shows where)"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gan-bench")
def main() -> None:
    """Compare GANs: train them side by side, score them, time them, and say how sure the difference is.

    \b
    A first result:   gan-bench run --models vanilla,dcgan
    What it shows:    gan-bench report
    """


for command in (run, report, compare, status, list_, show, sample, doctor):
    main.add_command(command)
