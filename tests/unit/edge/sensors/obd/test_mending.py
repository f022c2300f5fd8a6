"""Requests that fail are asked for in parts, and taken up again."""

from edge.sensors.obd.mending import Mending
from edge.sensors.obd.schedule import Group

A, B, C, D = (1, 2, 3), (4,), (5,), (6, 7)


class Bench:
    def __init__(self, *batches: tuple[int, ...]) -> None:
        self.now_ms = 0
        self.group = Group(1, [])
        self.group.batches = list(batches)
        self.mending = Mending(lambda: self.now_ms)

    def fail(self, batch: tuple[int, ...], times: int = 1, *, is_vehicle_there: bool = True) -> bool:
        was_split = False
        for _ in range(times):
            was_split = self.mending.failed(self.group, batch, is_vehicle_there=is_vehicle_there, reason="test")
        return was_split

    def after_s(self, seconds: float) -> list[tuple[int, ...]]:
        self.now_ms += round(seconds * 1000)
        self.mending.take_up()
        return self.group.batches


def test_a_request_is_split_and_joined_again_a_minute_later_then_two() -> None:
    bench = Bench(A, B)
    assert not bench.fail(A)
    bench.mending.worked(A)
    assert not bench.fail(A)
    assert bench.fail(A)
    assert bench.group.batches == [(1,), (2,), (3,), B]
    assert bench.after_s(59) == [(1,), (2,), (3,), B]
    assert bench.after_s(1) == [A, B]
    assert bench.fail(A)  # one failure is enough now
    assert bench.after_s(119) == [(1,), (2,), (3,), B]
    assert bench.after_s(1) == [A, B]


def test_a_pid_is_dropped_only_while_others_answer_and_comes_back() -> None:
    bench = Bench(B, C)
    bench.fail(B, 9, is_vehicle_there=False)
    assert bench.group.batches == [B, C]
    bench.fail(B)
    assert bench.group.batches == [C]
    bench.fail(C, 9)
    assert bench.group.batches == [C]  # the last one is asked for ever
    assert bench.after_s(60) == [C, B]


def test_a_request_that_is_joined_again_does_without_what_was_dropped() -> None:
    bench = Bench(A, D)
    bench.fail(A, 2)
    bench.fail((2,), 5)
    bench.now_ms = 30_000
    bench.fail(D, 2)
    assert bench.after_s(30) == [(1, 3), (6,), (7,), (2,)]
    bench.fail((2,))
    assert bench.after_s(30) == [(1, 3), D]


def test_what_never_answers_is_tried_once_an_hour_in_the_end() -> None:
    bench, tried = Bench(B, C), []
    bench.fail(B, 5)
    for now_s in range(0, 24 * 3600, 10):
        bench.now_ms = now_s * 1000
        bench.mending.take_up()
        if B in bench.group.batches:
            tried.append(now_s)
            bench.fail(B)
    assert [b - a for a, b in zip([0, *tried], tried, strict=False)][:6] == [60, 120, 240, 480, 960, 1920]
    assert 24 <= len(tried) <= 30
