"""Ranges and the stream ledger against sets of integers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
import pytest

from sync_protocol.ledger import Ranges, StreamLedger
from sync_protocol.messages import Gap

SPANS = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(st.tuples(st.booleans(), SPANS), max_size=40))
def test_ranges_are_a_set(steps: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, model = Ranges(), set[int]()
    for is_add, (first, last) in steps:
        numbers = set(range(first, last + 1))
        if is_add:
            assert ranges.add(first, last) == len(numbers - model)
            model |= numbers
        else:
            ranges.remove(first, last)
            model -= numbers
        assert {n for a, b in ranges for n in range(a, b + 1)} == model
        assert ranges.count() == len(model)
        assert ranges.highest() == max(model, default=0)
        pairs = ranges.pairs()
        assert all(a <= b for a, b in pairs)
        assert all(b + 1 < c for (_, b), (c, _) in pairwise(pairs)), "adjacent ranges are joined"
    assert [n in ranges for n in range(75)] == [n in model for n in range(75)]
    assert {n for a, b in ranges.missing(1, 70) for n in range(a, b + 1)} == set(range(1, 71)) - model
    expected_mark = next(n for n in range(0, 80) if n + 1 not in model)
    assert ranges.mark() == expected_mark
    assert Ranges(ranges.pairs()) == ranges


def test_a_backward_range_is_a_bug() -> None:
    with pytest.raises(ValueError, match="first <= last"):
        Ranges().add(3, 2)


STEPS = st.one_of(
    st.tuples(st.just("store"), SPANS),
    st.tuples(st.just("quarantine"), SPANS),
    st.tuples(st.just("lose"), SPANS),
    st.tuples(st.just("saw"), SPANS),
)


@given(st.lists(STEPS, max_size=40))
def test_every_number_is_exactly_one_of_four(steps: list[tuple[str, tuple[int, int]]]) -> None:
    ledger = StreamLedger()
    truth: dict[int, str] = {}
    top = 0
    for kind, (first, last) in steps:
        numbers = range(first, last + 1)
        if kind == "store":
            new = ledger.store(first, last)
            assert new == sum(truth.get(n) != "stored" for n in numbers)
            truth |= dict.fromkeys(numbers, "stored")
            top = max(top, last)
        elif kind == "quarantine":
            ledger.quarantine(first)
            if truth.get(first) != "stored":
                truth[first] = "quarantined"
            top = max(top, first)
        elif kind == "lose":
            absent = [n for n in numbers if truth.get(n) not in ("stored", "quarantined")]
            assert ledger.lose(Gap(first, last, "disk_full")) == sum(truth.get(n) != "lost" for n in absent)
            truth |= dict.fromkeys(absent, "lost")
            top = max(top, last)
        else:
            ledger.saw(last)
            top = max(top, last)
    assert ledger.last_seq == top
    for n in range(1, top + 1):
        homes = [
            name
            for name, ranges in (
                ("stored", ledger.stored),
                ("quarantined", ledger.quarantined),
                ("lost", ledger.lost),
                ("pending", ledger.pending()),
            )
            if n in ranges
        ]
        assert homes == [truth.get(n, "pending")]
    explained = Ranges((g.first, g.last) for g in ledger.lost_gaps())
    assert explained == ledger.lost, "each lost frame has a reason"
