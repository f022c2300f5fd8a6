"""From printed lines to messages: what is good, what is which error, and that damage is never a value."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from edge.sensors.obd.answer import Bus, Message, data_lines, messages, positive
from edge.sensors.obd.decode import by_ecu, raw_values, split_pids
from edge.sensors.obd.errors import BadAnswer, BusError, NegativeAnswer, NotUnderstood, ObdError
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import iso_tp

CAN = Bus("6")
VIN = b"\x49\x02\x01" + b"1HGBH41JXMN109186"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NO DATA", "no_data"),
        ("STOPPED", "stopped"),
        ("BUFFER FULL", "buffer_full"),
        ("CAN ERROR", "can_error"),
        ("BUS INIT: ...ERROR", "bus_init"),
        ("BUS INIT: ERROR", "bus_init"),
        ("UNABLE TO CONNECT", "unable_to_connect"),
        ("SEARCHING...UNABLE TO CONNECT", "unable_to_connect"),
        ("BUS BUSY", "bus_busy"),
        ("BUS ERROR", "bus_error"),
        ("FB ERROR", "feedback_error"),
        ("DATA ERROR", "data_error"),
        ("7E8 03 41 0D 32 <RX ERROR", "data_error"),
        ("48 6B 10 41 0D 32 00 <DATA ERROR", "data_error"),
        ("ACT ALERT", "adapter_alert"),
        ("!ACT ALERT", None),
        ("LP ALERT", "adapter_alert"),
        ("ERR94", "adapter_error"),
    ],
)
def test_each_text_of_the_adapter_is_its_own_error(text: str, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(BadAnswer):
            messages(data_lines([text]), CAN)
        return
    with pytest.raises(BusError) as caught:
        data_lines([text])
    assert caught.value.kind == kind
    with pytest.raises(BusError):  # also among good lines
        data_lines(["7E803410D32", text])


def test_progress_is_no_data_and_no_error() -> None:
    assert data_lines(["SEARCHING...", "7E8 03 41 0D 32"]) == ["7E803410D32"]
    assert data_lines(["BUS INIT: OK", "48 6B 10 41 0D 32 D3"]) == ["486B10410D32D3"]
    assert data_lines(["BUS INIT: ...OK", "SEARCHING...7E803410D32"]) == ["7E803410D32"]
    with pytest.raises(NotUnderstood):
        data_lines(["?"])
    for nothing in ([], ["SEARCHING..."], ["BUS INIT: OK"]):
        with pytest.raises(BadAnswer):
            data_lines(nothing)


@pytest.mark.parametrize("is_padded", [True, False])
def test_messages_of_several_frames_and_computers_interleaved(is_padded: bool) -> None:
    first, second = iso_tp(0x7E8, VIN, is_padded=is_padded), iso_tp(0x7E9, VIN[::-1], is_padded=is_padded)
    mixed = [first[0], second[0], second[1], first[1], first[2], second[2]]
    assert messages(mixed, CAN) == [Message(0x7E8, VIN), Message(0x7E9, VIN[::-1])]


def test_the_sequence_number_wraps() -> None:
    long = bytes(range(256)) * 2
    assert messages(iso_tp(0x7E8, long), CAN) == [Message(0x7E8, long)]


def test_29_bit_addresses() -> None:
    assert messages(["18DAF11004410C1AF8000000", "18DAF11D03410D32"], Bus("7")) == [
        Message(0x18DAF110, b"\x41\x0c\x1a\xf8"),
        Message(0x18DAF11D, b"\x41\x0d\x32"),
    ]


def test_older_protocols_by_their_checksums() -> None:
    assert messages(["486B10410C1AF822"], Bus("3")) == [Message(0x10, b"\x41\x0c\x1a\xf8")]
    assert messages(["84F110410C1AF8E4"], Bus("5")) == [Message(0x10, b"\x41\x0c\x1a\xf8")]
    with pytest.raises(BadAnswer, match="checksum"):
        messages(["486B10410C1AF923"[:-2] + "00"], Bus("3"))
    with pytest.raises(BadAnswer):
        messages(["85F110410C1AF8E5"], Bus("5"))  # the length says one byte more
    assert messages(["486B104100BE3EB811FA"], Bus("2")) == [Message(0x10, bytes.fromhex("4100be3eb811"))]
    # The check value of CRC-8/SAE-J1850, which is that of "123456789".
    assert messages(["3132333435363738394B"], Bus("2")) == [Message(0x33, b"456789")]


@pytest.mark.parametrize(
    "lines",
    [
        ["7E8"],
        ["7E80"],
        ["7E800"],
        ["7E804410C1A"],  # a byte is missing
        ["7E803410C1AF8"],  # one too many
        ["7E804410C1AF80000"],  # neither padded nor not
        ["7E8044G0C1AF8"],
        ["7E88104410C1AF8"],
        ["7E804410C1AF800000000"],  # nine bytes
        ["410C1AF8"],  # headers off
        ["014", "0:490201314847", "1:42483431"],  # headers off, several frames
        iso_tp(0x7E8, VIN)[:2],
        iso_tp(0x7E8, VIN)[1:],
        [iso_tp(0x7E8, VIN)[i] for i in (0, 2, 1)],
        [iso_tp(0x7E8, VIN)[i] for i in (0, 1, 1, 2)],
        [*iso_tp(0x7E8, VIN), iso_tp(0x7E8, VIN)[2]],
        [iso_tp(0x7E8, VIN)[0], *iso_tp(0x7E8, b"\x41\x0d\x32"), *iso_tp(0x7E8, VIN)[1:]],
        ["7E830000000000000"],
        ["7E81005410D32"],
    ],
)
def test_damage_is_refused(lines: list[str]) -> None:
    with pytest.raises(BadAnswer):
        messages(lines, CAN)


def test_a_short_frame_of_a_padding_computer_is_refused() -> None:
    short = ["7E806410C1FA00D00"]  # the 32 before the filling went missing
    assert split_pids(messages(short, CAN)[0].data, (0x0C, 0x0D), catalogue().pid_bytes)[0x0D] == b"\x00"
    with pytest.raises(BadAnswer):
        messages(short, CAN, padded={0x7E8})


def test_refusals() -> None:
    refusal = Message(0x7E8, b"\x7f\x01\x12")
    good = Message(0x7E9, b"\x41\x0d\x32")
    with pytest.raises(NegativeAnswer) as caught:
        positive([refusal], 0x01)
    assert (caught.value.service, caught.value.code) == (0x01, 0x12)
    assert positive([refusal, good], 0x01) == [good]
    later = Message(0x7E9, b"\x7f\x01\x78")
    assert positive([later, good], 0x01) == [good]
    with pytest.raises(NegativeAnswer):
        positive([later], 0x01)
    for wrong in (b"\x7f\x01", b"\x7f\x03\x12", b"\x43\x00", b"\x01\x0d\x32"):
        with pytest.raises(BadAnswer):
            positive([Message(0x7E8, wrong), good], 0x01)


# Damage of a real answer. Truth: what the undamaged lines say. A wrong value is one that differs from it.
ASKED = (0x0D, 0x0C, 0x04, 0x11, 0x05, 0x42)
DATA = {0x0D: b"\x32", 0x0C: b"\x1f\x40", 0x04: b"\x60", 0x11: b"\x30", 0x05: b"\x82", 0x42: b"\x37\x14"}
SIGNALS = [signal for pid in ASKED for signal in catalogue().by_pid[pid]]
ENGINE = b"\x41" + b"".join(bytes([pid]) + DATA[pid] for pid in ASKED)
GEARBOX = b"\x41\x0d\x31\x0c\x1f\x44"
PADDED = frozenset({0x7E8, 0x7E9})
TRUTH = raw_values(DATA, SIGNALS)


DAMAGE = ("drop", "double", "swap", "cut", "lose", "noise", "join", "word", "truncate")


def values(lines: list[str]) -> dict[int, int]:
    found = by_ecu(positive(messages(data_lines(lines), CAN, PADDED), 0x01))
    return raw_values(split_pids(found[0x7E8], ASKED, catalogue().pid_bytes), SIGNALS) if 0x7E8 in found else {}


def test_the_truth_is_read() -> None:
    assert values(iso_tp(0x7E8, ENGINE) + iso_tp(0x7E9, GEARBOX)) == TRUTH


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_answers_give_errors_or_the_truth(data: st.DataObject) -> None:
    lines = iso_tp(0x7E8, ENGINE) + iso_tp(0x7E9, GEARBOX)
    for _ in range(data.draw(st.integers(1, 3))):
        if not lines:
            break
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(
            st.sampled_from(["drop", "double", "swap", "cut", "lose", "noise", "join", "word", "truncate"])
        ):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "lose":
                start = data.draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:start] + lines[at][start + data.draw(st.integers(1, 3)) :]
            case "noise":
                start = data.draw(st.integers(0, len(lines[at])))
                noise = data.draw(st.text("GHXYZ?<!.:", min_size=1, max_size=4))
                lines[at] = lines[at][:start] + noise + lines[at][start:]
            case "join":
                lines[at : at + 2] = ["".join(lines[at : at + 2])]
            case "word":
                lines.insert(at, data.draw(st.sampled_from(["NO DATA", "BUFFER FULL", "SEARCHING...", "OK", "ELM327"])))
            case "truncate":
                lines = lines[:at]
    try:
        found = values(lines)
    except ObdError:
        return
    assert found.items() <= TRUTH.items()


@given(st.lists(st.text("0123456789ABCDEF >?.:<GNODATSERCH", max_size=24), max_size=6))
def test_garbage_gives_errors_or_what_it_really_says(lines: list[str]) -> None:
    for digit in "12356789":
        try:
            found = positive(messages(data_lines(lines), Bus(digit)), 0x01)
        except ObdError:
            continue
        for message in found:  # then it was an answer: its bytes stand in the text
            assert message.data[0] == 0x41
            assert message.data[:6].hex().upper() in "".join(lines).replace(" ", "")
