"""Replacement of results by `--fresh`: each run keeps its old result until the new one is whole."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from gan_bench.core.errors import InputError, RunTakenError
from gan_bench.core.events import Event, OnEvent, RunFinished
from gan_bench.core.files import inside, write_error
from gan_bench.core.reading import exists
from gan_bench.core.records import RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import leases
from gan_bench.store.reader import TRAINED, Reader
from gan_bench.store.results_folder import RUNS
from gan_bench.store.run_folder import SPEC
from gan_bench.store.store import Store

FOLDER = ".fresh"


class Replacement:
    """The request to train `specs` again, remembered over interruptions.

    `.fresh/<hash of the run ids>` is a results folder that contains the runs whose old results still stand. A run
    is trained and evaluated there, and then moved to `runs/`.
    """

    def __init__(self, root: Path, specs: Sequence[TrainingSpec], on_event: OnEvent) -> None:
        self.root = root
        self._specs = {spec.run_id: spec for spec in specs}
        text = "\n".join(sorted(self._specs))
        self.folder = root / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:12]
        self._on_event = on_event
        if not inside(self.folder, root):
            raise InputError(f"results folder {root}: {FOLDER} is a link that leads out of it; remove the link")

    @property
    def is_started(self) -> bool:
        """Whether the request was interrupted, or is being executed by another process."""
        return exists(self.folder)

    def is_pending(self, spec: TrainingSpec) -> bool:
        """Return whether a started request has yet to replace the run."""
        return exists(self.folder / RUNS / spec.run_id / SPEC)

    def start(self, specs: Sequence[TrainingSpec]) -> Store:
        """Record the request, unless it is started, and return the store to train `specs` in.

        Raises InputError, and changes nothing, if another process is training one of them.
        """
        results = Reader(self.root, self._on_event)
        held = [spec.run_id for spec in specs if results.is_running(spec)]
        if held:
            count = "1 run is" if len(held) == 1 else f"{len(held)} runs are"
            raise InputError(f"--fresh: {count} being trained by another process, such as {held[0]}; wait for it")
        if not self.is_started:
            new = self.folder.with_suffix(".new")  # renamed, so that a kill never leaves a part of the request
            shutil.rmtree(new, ignore_errors=True)
            Store.open(new, create=True, on_event=self._on_event).expect(specs)
            try:
                new.rename(self.folder)
            except OSError as error:
                if not self.is_started:  # by another process, in between
                    raise write_error(self.folder, error) from error
        return Store.open(self.folder, create=True, on_event=self._on_event)

    def listener(self, on_event: OnEvent) -> OnEvent:
        """Return a listener that also moves each run that has finished into place."""

        def listen(event: Event) -> None:
            if isinstance(event, RunFinished):
                self.commit(event.record)
            on_event(event)

        return listen

    def commit(self, record: RunRecord) -> None:
        """Replace the old result by the new one, unless that has failed, or another process holds the run."""
        new, old = (root / RUNS / record.run_id for root in (self.folder, self.root))
        if record.status not in TRAINED or record.failure or not exists(new / SPEC):
            return
        results = Store.open(self.root, create=True, on_event=self._on_event)
        try:
            results.discard(self._specs[record.run_id])
            new.rename(old)
            leases.remove(old)  # of the process that trained it
        except RunTakenError as error:
            results.notice(f"{error}; the new result waits: type the same command again")
            return
        except OSError as error:
            raise write_error(old, error) from error

    def end(self) -> None:
        """Remove the request, once every run is replaced."""
        if any(map(self.is_pending, self._specs.values())):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: another request
            self.folder.parent.rmdir()
