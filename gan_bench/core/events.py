"""Events that planning, training and evaluation emit; listeners match them by type. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from gan_bench.core.records import EpochRecord, RunRecord, Score, StepProfile

T = TypeVar("T")


@dataclass(frozen=True)
class Notice:
    """A message that the user should see."""

    text: str
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroupStarted:
    """A group begins to train at a step, from a checkpoint if that is above 0."""

    run_ids: tuple[str, ...]
    step: int
    total_steps: int


@dataclass(frozen=True)
class StepProgress:
    """Steps made so far by a group; emitted a few times a second at most."""

    run_ids: tuple[str, ...]
    step: int
    total_steps: int


@dataclass(frozen=True)
class StepProfiled:
    """A step of a run was profiled; `trace` is the path of the trace file."""

    run_ids: tuple[str, ...]
    profile: StepProfile
    trace: str


@dataclass(frozen=True)
class EpochFinished:
    """One run finished an epoch."""

    run_id: str
    epoch: EpochRecord


@dataclass(frozen=True)
class EvaluationProgress:
    """Images seen by the extractors so far; without a run id these are the reference images."""

    images: int
    total_images: int
    run_id: str = ""


@dataclass(frozen=True)
class DecodingProgress:
    """Images of a user's data set decoded so far, of all of them."""

    dataset: str
    images: int
    total_images: int


@dataclass(frozen=True)
class RunFinished:
    """A run has its outcome and every score that was asked for."""

    record: RunRecord
    scores: tuple[Score, ...] = ()


Event: TypeAlias = (
    Notice
    | GroupStarted
    | StepProgress
    | StepProfiled
    | EpochFinished
    | EvaluationProgress
    | DecodingProgress
    | RunFinished
)
OnEvent: TypeAlias = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """Discard an event: the default listener."""


class ListenerError(BaseException):
    """A listener failed, such as a terminal that was closed; no run is at fault. `__cause__` is its exception.

    Not an Exception: what handles the failures of runs must let it pass, whatever user code raises itself.
    """


def shielded(on_event: Callable[[T], None]) -> Callable[[T], None]:
    """Return a listener that raises ListenerError where `on_event` raises an exception."""

    def emit(event: T) -> None:
        try:
            on_event(event)
        except Exception as error:
            raise ListenerError from error

    return emit
