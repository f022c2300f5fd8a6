"""What the bytes of an answer mean."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from edge.sensors.obd.answer import Message
from edge.sensors.obd.decode import by_ecu, dtc_codes, raw_values, split_pids, supported_pids, vin_text
from edge.sensors.obd.errors import BadAnswer
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import encode_dtc

SIZES = catalogue().pid_bytes
VIN = "WP0ZZZ99ZTS390000"  # python-OBD makes WP0ZZZ99ZTS39 of it


def test_several_pids_in_one_answer() -> None:
    assert split_pids(bytes.fromhex("410C1AF80D32"), (0x0D, 0x0C), SIZES) == {0x0C: b"\x1a\xf8", 0x0D: b"\x32"}


@pytest.mark.parametrize("data", ["41", "410C1A", "410D32FF", "410D320D32", "410D", "410C1AF80D32", "41FF00"])
def test_answers_that_do_not_come_out_even_are_refused(data: str) -> None:
    with pytest.raises(BadAnswer):
        split_pids(bytes.fromhex(data), (0x0D,) if data != "410C1A" else (0x0C,), SIZES)


def test_filler_without_support_bit_is_no_value() -> None:
    signals = catalogue().by_pid[0x67]
    assert raw_values({0x67: b"\x01\x70\x28"}, signals) == {}
    assert raw_values({0x67: b"\x02\x70\x28"}, signals) == {80: 0x28}
    assert raw_values({}, signals) == {}


def test_two_answers_of_one_computer_are_refused() -> None:
    with pytest.raises(BadAnswer):
        by_ecu([Message(0x7E8, b"\x41\x0d\x32"), Message(0x7E8, b"\x41\x0d\x33")])


def test_bitmaps() -> None:
    assert supported_pids(0x00, bytes.fromhex("BE1FA813")) == {
        *(0x01, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0C, 0x0D, 0x0E, 0x0F),
        *(0x10, 0x11, 0x13, 0x15, 0x1C, 0x1F, 0x20),
    }
    assert supported_pids(0x20, b"\x00\x00\x00\x01") == {0x40}


codes = st.builds(lambda s, d, h: f"{s}{d}{h:03X}", st.sampled_from("PCBU"), st.integers(0, 3), st.integers(1, 0xFFF))


@given(st.lists(codes, max_size=40, unique=True))
def test_codes_on_can_have_their_count_before_them(found: list[str]) -> None:
    data = bytes([0x43, len(found)]) + b"".join(map(encode_dtc, found))
    assert dtc_codes([Message(0x7E8, data)], is_can=True) == {0x7E8: tuple(found)}
    for wrong in (data[:-1], data + b"\x01", bytes([0x43, len(found) + 1]) + data[2:]):
        with pytest.raises(BadAnswer):
            dtc_codes([Message(0x7E8, wrong)], is_can=True)


def test_codes_of_older_protocols_come_in_threes_with_filling() -> None:
    lines = [Message(0x10, bytes.fromhex("43014301960234")), Message(0x10, bytes.fromhex("43C1230000" + "0000"))]
    assert dtc_codes(lines, is_can=False) == {0x10: ("P0143", "P0196", "P0234", "U0123")}
    assert dtc_codes([Message(0x10, b"\x43" + bytes(6))], is_can=False) == {0x10: ()}
    for wrong in ("430143019602", "430143019602340000"):
        with pytest.raises(BadAnswer):
            dtc_codes([Message(0x10, bytes.fromhex(wrong))], is_can=False)


def test_a_computer_with_two_lists_is_refused() -> None:
    with pytest.raises(BadAnswer):
        dtc_codes([Message(0x7E8, b"\x43\x00"), Message(0x7E8, b"\x43\x00")], is_can=True)


def test_the_whole_vin_of_the_first_computer() -> None:
    other = Message(0x7E9, b"\x49\x02\x01" + b"1HGBH41JXMN109186")
    assert vin_text([other, Message(0x7E8, b"\x49\x02\x01" + VIN.encode())], is_can=True) == VIN
    padded = b"\x00\x00\x00" + VIN.encode()
    lines = [Message(0x10, b"\x49\x02" + bytes([n + 1]) + padded[n * 4 : n * 4 + 4]) for n in range(5)]
    assert vin_text(lines, is_can=False) == VIN
    with pytest.raises(BadAnswer):
        vin_text([lines[1], lines[0], *lines[2:]], is_can=False)
    with pytest.raises(BadAnswer):
        vin_text(lines[:-1], is_can=False)


@pytest.mark.parametrize("data", [b"\x49\x02\x01", b"\x49\x02", b"\x49\x04\x01" + VIN.encode(), b"\x49\x02\x02"])
def test_what_is_no_vin_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        vin_text([Message(0x7E8, data)], is_can=True)
    for text in (VIN[:-1], VIN + "1", VIN.lower(), "I" + VIN[1:], "\xff" * 17):
        with pytest.raises(BadAnswer):
            vin_text([Message(0x7E8, b"\x49\x02\x01" + text.encode("latin1"))], is_can=True)


def test_values_of_a_freeze_frame() -> None:
    data = bytes.fromhex("42 0C 00 1A F8 0D 00 32")
    assert split_pids(data, (0x0C, 0x0D, 0x05), SIZES, after_pid=b"\x00") == {0x0C: b"\x1a\xf8", 0x0D: b"\x32"}
    for wrong in ("42", "42 0C 00 1A", "42 0C 01 1A F8", "42 0C", "42 05 00 7B", "42 0C 00 1A F8 0C 00 1A F8",
                  "42 0C 1A F8", "42 0C 00 1A F8 00"):  # fmt: skip
        with pytest.raises(BadAnswer):
            split_pids(bytes.fromhex(wrong), (0x0C, 0x0D), SIZES, after_pid=b"\x00")
