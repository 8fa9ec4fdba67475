"""Timers for the stages of scoring, on a CPU and on a GPU."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Timer of the seconds spent in each stage."""

    def __init__(self, stages: Iterable[str]) -> None:
        self.seconds = dict.fromkeys(stages, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


class DeviceClock(Clock):
    """Timer that also measures stages on a device with its own queue.

    On a GPU it records events in the queue and reads them at the end, since waiting at each stage
    would leave the GPU idle.
    """

    def __init__(self, stages: Iterable[str], device: torch.device) -> None:
        super().__init__(stages)
        self._device = device
        self._marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def on_device(self, stage: str) -> Iterator[None]:
        """Add the time that the device spends on the block to `stage`."""
        if self._device.type != "cuda":
            with self(stage):
                yield
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        queue = torch.cuda.current_stream(self._device)  # the default would be that of GPU 0
        start.record(queue)
        yield
        end.record(queue)
        self._marks.append((stage, start, end))

    def read(self) -> dict[str, float]:
        """Wait for the device and return the seconds of all stages."""
        for stage, start, end in self._marks:
            end.synchronize()
            self.seconds[stage] += start.elapsed_time(end) / 1000
        self._marks.clear()
        return self.seconds
