"""The outbox against a simple model: every frame is held, acknowledged, or in a gap, and never changes."""

from pathlib import Path
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
import msgspec

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from sync_protocol.header import frame_crc
from sync_protocol.ledger import Ranges
from sync_protocol.messages import StreamAnswer
from tests.support.edge_fakes import IDENTITY, frame_maker

ROOM = Room(size_bytes=40 * 4096, ballast_bytes=0)


class OutboxMachine(RuleBasedStateMachine):
    """Model: the bytes of every frame ever committed, what the cloud has, and which acknowledgements were given."""

    @initialize()
    def open_first(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="outbox")
        self.path = outbox_path(Path(self.folder.name), "acme", "van-1")
        self.identity = IDENTITY
        self.outbox = Outbox(self.path, self.identity, ROOM)
        self.bodies: dict[tuple[bytes, int], bytes] = {}
        self.cloud: dict[bytes, Ranges] = {}
        self.streams = {self.outbox.active.stream_id}

    @rule(size=st.integers(10, 9000), has_event=st.booleans(), count=st.integers(1, 6))
    def append(self, size: int, has_event: bool, count: int) -> None:
        make = frame_maker(size, has_event=has_event)
        for _ in range(count):
            stream = self.outbox.active
            expected = stream.last_seq + 1
            stream_id, seq = self.outbox.append(make, {"odometer_raw": expected})
            assert (stream_id, seq) == (stream.stream_id, expected)
            self.bodies[stream_id, seq] = make(stream_id, seq, self.outbox.boot)

    @rule(most=st.integers(1, 8), is_answered=st.booleans())
    def send(self, most: int, is_answered: bool) -> None:
        frames = self.outbox.pick(most)
        for frame in frames:
            assert self.bodies[frame.stream_id, frame.seq] == frame.body
            self.cloud.setdefault(frame.stream_id, Ranges()).add(frame.seq)
            if is_answered:
                assert self.outbox.ack(frame.stream_id, [(frame.seq, frame.seq, frame_crc(frame.body))])
        assert len({(f.stream_id, f.seq) for f in frames}) == len(frames)
        assert [f.has_events for f in frames] == sorted((f.has_events for f in frames), reverse=True)

    @rule(kills=st.booleans(), moves=st.booleans(), starts_machine=st.booleans())
    def restart(self, kills: bool, moves: bool, starts_machine: bool) -> None:
        boot, active = self.outbox.boot, self.outbox.active.stream_id
        acked = {s.stream_id: Ranges(s.acked) for s in self.outbox.streams}
        self.outbox.close(None if kills else "shutdown")
        if starts_machine:
            self.identity = msgspec.structs.replace(self.identity, kernel_boot=self.identity.kernel_boot + "x")
        if moves:
            self.identity = msgspec.structs.replace(self.identity, machine=self.identity.machine + "x")
        self.outbox = Outbox(self.path, self.identity, ROOM)
        assert self.outbox.boot == boot + (starts_machine or moves)
        assert (self.outbox.active.stream_id != active) == moves
        expected = "shutdown" if not kills else "power" if starts_machine else "killed"
        assert self.outbox.previous.reason == expected
        if not kills:
            for stream in self.outbox.streams:
                assert stream.acked == acked.get(stream.stream_id, Ranges())

    @rule(loses_newest=st.integers(0, 5))
    def restore_cloud_and_say_hello(self, loses_newest: int) -> None:
        asked = self.outbox.hello_streams()
        answers = []
        for state in asked:
            stored = Ranges(self.cloud.get(state.stream_id, Ranges()))
            if loses_newest and stored.highest():
                stored.remove(max(1, stored.highest() - loses_newest), stored.highest())
            self.cloud[state.stream_id] = stored
            answers.append(StreamAnswer(state.stream_id, stored.pairs(), gaps=state.gaps))
        effect = self.outbox.answer(asked, answers, {})
        assert effect.new_stream is None
        for state in asked:
            stream = next(s for s in self.outbox.streams if s.stream_id == state.stream_id)
            assert not [pair for pair in stream.acked if list(self.cloud[state.stream_id].missing(*pair))]

    @rule()
    def flush(self) -> None:
        self.outbox.flush()

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if not hasattr(self, "outbox"):
            return
        for stream in self.outbox.streams:
            lost = Ranges((a, b) for a, b, _, _ in stream.gap_rows())
            for seq in range(1, stream.last_seq + 1):
                held, acked = seq in stream.held, seq in stream.acked
                assert held or acked or seq in lost
                assert not (held and seq in lost)
                assert (seq in stream.pending) == (held and not acked)
                assert not acked or seq in self.cloud[stream.stream_id]
        assert self.path.stat().st_size <= ROOM.size_bytes + 17 * 4096

    @invariant()
    def what_is_pending_comes_out(self) -> None:
        if hasattr(self, "outbox"):
            picked = {(f.stream_id, f.seq): f.body for f in self.outbox.pick(10_000)}
            expected = {
                (s.stream_id, seq) for s in self.outbox.streams for a, b in s.pending for seq in range(a, b + 1)
            }
            assert picked.keys() == expected
            assert all(self.bodies[key] == body for key, body in picked.items())

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.outbox.close()
            self.folder.cleanup()


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
