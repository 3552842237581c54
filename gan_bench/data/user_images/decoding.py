"""Decoding of many image files, in processes of their own where there are enough of them. Loads no torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.process import parent_process
from typing import ClassVar, Protocol, TypeAlias

from PIL import Image

from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.main_module import without_main
from gan_bench.data.user_images.pixels import Alpha, Decoded, decode

MIN_IMAGES_PER_PROCESS = 1500
"""Starting a process takes as long as decoding about so many small images."""
MAX_PROCESSES = 16
MAX_WAITING = 4
"""Chunks per process that are decoded ahead."""


class Source(Protocol):
    """Where images are read from."""

    chunk: ClassVar[int]
    """Images that are read and decoded at a time."""
    is_small: ClassVar[bool]
    """Whether it can be sent to other processes at no cost: it holds a path, not the images."""

    def read(self, paths: Sequence[str]) -> Iterator[bytes | Image.Image | ReadError]:
        """Yield the content of each path, or why it can't be read."""


Result: TypeAlias = Decoded | str
"""An image, or why there is none."""


def decode_all(
    source: Source,
    paths: Sequence[str],
    side: int,
    alpha: Alpha,
    *,
    on_progress: Callable[[int], None],
    processes: int | None = None,
) -> Iterator[Result]:
    """Yield each path's image of `side` x `side` pixels, or the reason why there is none, in order.

    `on_progress` is called with the number of images done. Raises InputError where a decoding process died.
    """
    count = processes or (process_count(len(paths)) if source.is_small else 1)
    chunks = [paths[start : start + source.chunk] for start in range(0, len(paths), source.chunk)]
    done = 0
    for results in (
        _in_processes(source, chunks, side, alpha, count)
        if count > 1
        else (decode_chunk(source, chunk, side, alpha) for chunk in chunks)
    ):
        yield from results
        done += len(results)
        on_progress(done)


def decode_chunk(source: Source, paths: Sequence[str], side: int, alpha: Alpha) -> list[Result]:
    """Return each path's image, or the reason why there is none."""
    results: list[Result] = []
    for content in source.read(paths):
        try:
            results.append(str(content) if isinstance(content, ReadError) else decode(content, side, alpha))
        except ReadError as error:
            results.append(str(error))
    return results


def process_count(images: int) -> int:
    """Return how many processes to decode in; 1 is this process."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, MAX_PROCESSES, images // MIN_IMAGES_PER_PROCESS))


def _in_processes(
    source: Source, chunks: Sequence[Sequence[str]], side: int, alpha: Alpha, count: int
) -> Iterator[list[Result]]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start)
    waiting: list[Future[list[Result]]] = []
    pending = iter(chunks)
    try:
        while True:
            with without_main():  # processes are started while work is submitted
                for chunk in pending:
                    waiting.append(pool.submit(decode_chunk, source, chunk, side, alpha))
                    if len(waiting) >= count * MAX_WAITING:
                        break
            if not waiting:
                break
            yield waiting.pop(0).result()
    except BrokenProcessPool:
        raise InputError(
            "a process that decoded images died: the machine ran out of memory, or a file makes Pillow crash"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _start() -> None:
    """Leave interrupts to the parent process, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
