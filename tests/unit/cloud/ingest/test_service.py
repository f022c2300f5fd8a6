"""How a flood is cut into windows: by frames, and by what the frames hold."""

from cloud.ingest.filing import Message
from cloud.ingest.service import COMMIT_SAMPLES, parts
from sync_protocol.bundle import pack
from sync_protocol.header import read_header, sample_count
from tests.support.frames import Drive


def messages(datas: list[bytes]) -> list[Message]:
    return [Message("f.demo.van", data, 0) for data in datas]


def sizes(datas: list[bytes], most_frames: int) -> list[tuple[int, bool]]:
    return [(len(part), is_last) for part, is_last in parts(messages(datas), most_frames)]


def test_the_count_in_a_header_is_what_the_header_says() -> None:
    frame = Drive(1, rows=7).frame(3)
    assert sample_count(frame) == read_header(frame).samples > 0
    assert sample_count(frame[:20]) == sample_count(b"") == sample_count(pack([frame])) == 0


def test_small_frames_are_cut_by_their_number_and_bundles_by_the_frames_in_them() -> None:
    frame = Drive(1).frame(1)
    assert sizes([frame] * 5, 2) == [(2, False), (2, False), (1, True)]
    assert sizes([pack([frame, frame]), frame, frame], 3) == [(2, False), (1, True)]


def test_big_frames_are_cut_by_their_samples() -> None:
    frame = Drive(1, rows=1_500).frame(1)
    fit = COMMIT_SAMPLES // sample_count(frame)
    assert 10 < fit < 100
    assert sizes([frame] * (fit + 1), 2_000) == [(fit, False), (1, True)]
