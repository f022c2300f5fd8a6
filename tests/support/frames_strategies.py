"""Hypothesis strategies for frame content: groups of raw integers, events, anchors, marks."""

from hypothesis import strategies as st
import numpy as np

from sync_protocol.codec import Group
from sync_protocol.messages import Event, Mark, Meta, TimeAnchor
from sync_protocol.signals import catalogue

ALL_IDS = sorted(catalogue().by_id)
RAW = st.integers(-(1 << 40), 1 << 40)
TIMES_MS = st.integers(0, 1 << 40)


@st.composite
def groups(draw: st.DrawFn, max_groups: int = 3) -> list[Group]:
    """Up to three groups with disjoint signals, up to six columns of up to twelve rows, some cells absent."""
    ids = draw(st.lists(st.sampled_from(ALL_IDS), unique=True, max_size=12))
    out: list[Group] = []
    for part in range(max_groups):
        mine = tuple(sorted(ids[part::max_groups]))
        if not mine:
            continue
        start = draw(TIMES_MS)
        steps = draw(st.lists(st.integers(1, 100_000), max_size=11))
        times = np.cumsum(np.array([start, *steps], np.int64))
        shape = (len(mine), len(times))
        cells = shape[0] * shape[1]
        present = np.array(draw(st.lists(st.booleans(), min_size=cells, max_size=cells)), np.bool_).reshape(shape)
        present[0] |= ~present.any(axis=0)  # an instant without any value is no instant
        values = np.array(draw(st.lists(RAW, min_size=cells, max_size=cells)), np.int64).reshape(shape)
        out.append(Group(mine, times, np.where(present, values, 0), present))
    return out


EVENTS = st.builds(
    Event,
    TIMES_MS,
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=8), st.integers(-(2**31), 2**31), max_size=3),
)
ANCHORS = st.builds(
    TimeAnchor, TIMES_MS, TIMES_MS, st.sampled_from(["gps", "ntp", "cloud", "rtc", "guess"]), st.integers(0, 10**6)
)
MARKS = st.builds(Mark, st.sampled_from(ALL_IDS), TIMES_MS, TIMES_MS, st.sampled_from(["stale", "no_data", "invalid"]))
METAS = st.builds(
    Meta,
    st.lists(EVENTS, max_size=3).map(tuple),
    st.lists(ANCHORS, max_size=2).map(tuple),
    st.lists(MARKS, max_size=2).map(tuple),
)
