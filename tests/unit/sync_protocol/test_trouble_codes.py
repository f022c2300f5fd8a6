"""Words for trouble codes, and no words that nobody can know."""

import pytest

from sync_protocol.trouble_codes import is_maker_specific, text_of


@pytest.mark.parametrize(
    ("code", "is_makers", "text"),
    [
        ("P0420", False, "Catalyst works below its threshold, bank 1"),
        ("p0420", False, "Catalyst works below its threshold, bank 1"),
        ("P0799", False, "Standard code without a text (powertrain: transmission)"),
        ("P0731", False, "Wrong ratio in gear 1"),
        ("P0AFF", False, "Standard code without a text (powertrain: hybrid or electric drive)"),
        ("P1234", True, "Defined by the maker (powertrain)"),
        ("P3000", True, "Defined by the maker (powertrain)"),
        ("P3400", False, "Standard code without a text (powertrain)"),
        ("C1234", True, "Defined by the maker (chassis)"),
        ("B0999", False, "Standard code without a text (body)"),
        ("U2FFF", True, "Defined by the maker (bus between computers)"),
        ("U3000", False, "Standard code without a text (bus between computers)"),
        ("X0000", False, "Not a trouble code of SAE J2012"),
        ("P0", False, "Not a trouble code of SAE J2012"),
    ],
)
def test_every_code_has_words(code: str, is_makers: bool, text: str) -> None:
    assert (is_maker_specific(code), text_of(code)) == (is_makers, text)
