"""The Mac's part: its timing with a fake clock, and that all contenders compute the same."""

from __future__ import annotations

import pytest
import torch

from benchmarks.shapes import Shape
from benchmarks.timing import measure


class Gpu:
    """Calls are queued in no time; waiting takes what they need and a little for itself."""

    def __init__(self, seconds: list[float], wait: float = 0.0) -> None:
        self.now = 0.0
        self.queued = 0.0
        self.calls = self.waits = 0
        self.seconds, self.overhead = seconds, wait

    def call(self) -> None:
        self.queued += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1

    def wait(self) -> None:
        self.now += self.queued + self.overhead
        self.queued = 0.0
        self.waits += 1

    def clock(self) -> float:
        return self.now


def test_the_gpu_is_waited_for() -> None:
    gpu = Gpu([0.050])
    assert measure.median_ms(gpu.call, gpu.wait, gpu.clock) == pytest.approx(50)


def test_warming_up_does_not_count() -> None:
    gpu = Gpu([9.0, 1.0, 1.0, 0.030])
    assert measure.median_ms(gpu.call, gpu.wait, gpu.clock, warm=3) == pytest.approx(30)


def test_warming_up_is_over_before_a_batch_is_sized() -> None:
    gpu = Gpu([9.0, 1.0, 1.0, 10e-6], wait=200e-6)
    assert measure.median_ms(gpu.call, gpu.wait, gpu.clock, warm=3) < 0.02


def test_the_median_is_not_moved_by_an_outlier() -> None:
    slow = [0.040] * 4 + [7.0] + [0.040] * 20
    gpu = Gpu(slow)
    assert measure.median_ms(gpu.call, gpu.wait, gpu.clock, repeats=5, warm=3) == pytest.approx(40)


def test_short_calls_share_a_wait() -> None:
    gpu = Gpu([10e-6], wait=200e-6)
    ms = measure.median_ms(gpu.call, gpu.wait, gpu.clock, repeats=5)
    assert gpu.calls > 50 * gpu.waits / 2
    assert ms < 0.02  # of 10 us, and its part of a wait of 200


@pytest.mark.parametrize(
    "shape",
    [
        Shape(4, 2, 64, 70, queries=70),
        Shape(4, 2, 64, 70, queries=70, causal=True),
        Shape(4, 2, 64, 70, queries=70, window=(20, 20), sinks=True),
    ],
    ids=("full", "causal", "window and sinks"),
)
def test_the_contenders_compute_the_same(shape: Shape) -> None:
    own, theirs, plain = (f(shape, "cpu")() for f in (measure.ours, measure.sdpa, measure.eager))
    assert torch.allclose(own.float(), plain.float(), atol=3e-3)
    assert torch.allclose(theirs.float(), plain.float(), atol=3e-3)
