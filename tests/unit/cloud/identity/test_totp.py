"""One-time codes: the RFC's numbers, each good once."""

import pytest

from cloud.identity import totp

RFC = b"12345678901234567890"


@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_numbers_of_rfc_6238(at_s: int, code: str) -> None:
    assert totp.code(RFC, at_s // 30) == code
    assert totp.matching_step(RFC, code, at_s, 0) == at_s // 30


def test_a_step_around_is_good_two_are_not_and_none_twice() -> None:
    now_s = 1111111111.0
    here = int(now_s // 30)
    for away, good in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = totp.matching_step(RFC, totp.code(RFC, here + away), now_s, 0)
        assert (found == here + away) if good else found is None
    assert totp.matching_step(RFC, totp.code(RFC, here), now_s, here) is None
    assert totp.matching_step(RFC, "", now_s, 0) is None
    assert totp.matching_step(RFC, "６６６６６６", now_s, 0) is None


def test_what_an_app_reads() -> None:
    assert totp.readable(RFC) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert totp.uri(RFC, "m+1@f.example") == (
        "otpauth://totp/Milepost:m%2B1%40f.example"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Milepost&digits=6&period=30"
    )
    assert len({totp.new_secret() for _ in range(10)}) == 10
