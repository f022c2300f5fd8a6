"""Profiles as data: what is refused, what a maker's answer means, what a VIN says."""

from pathlib import Path

import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import BadAnswer
from edge.sensors.obd.maker import maker_data
from edge.sensors.obd.makes import make_of, makes, model_years
from edge.sensors.obd.profile import Profile, Slice, load_profiles, parse_profile
from edge.sensors.obd.profile_choice import Facts, fit, profiled
from sync_protocol.config import load_config
from sync_protocol.errors import ConfigError

HEAD = 'text = "t"\nsource = "s"\n'
REQUEST = """[match]
makes = ["Toyota"]
[[requests]]
request = "2151"
to = "7E0"
size_bytes = 4
period_s = 10
"""


def test_the_shipped_ones_are_good_and_say_where_they_know_it_from() -> None:
    profiles = load_profiles(None)
    assert {"generic_petrol", "generic_diesel", "generic_hybrid", "generic_electric", "toyota_4runner"} <= set(profiles)
    assert all(len(profile.source) > 40 for profile in profiles.values())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("periods = 1", "unknown field `periods`"),
        ("[quirks]\nmulti = true", "$.quirks"),
        ("[periods_s]\nspeed_kph = 1", "$.periods_s: expected a signal of the catalogue, as 'speed_kmh'"),
        ("[periods_s]\nspeed_kmh = 60", "$.periods_s.speed_kmh: expected at most 2.5 s"),
        ("[periods_s]\nspeed_kmh = 0", "$.periods_s"),
        ('skip = ["turbo"]', "$.skip: expected a signal"),
        ('pids_to_ask = ["EE"]', "$.pids_to_ask: expected a PID of the catalogue, got EE"),
        ('pids_to_skip = ["5c"]', "$.pids_to_skip[0]"),
        (REQUEST + '[[requests.values]]\nsignal = "boost"\nat = 0', "$.requests[0].values[0].signal"),
        (REQUEST + '[[requests.values]]\nsignal = "oil_c"\nat = 4', "$.requests[0].values[0]: expected bytes within"),
        (REQUEST + '[[requests.values]]\nsignal = "oil_c"\nat = 0\nscale = "1/0"', "$.requests[0].values[0].scale"),
        (REQUEST.replace("7E0", "7C0") + '[[requests.values]]\nsignal = "oil_c"\nat = 0', "$.requests[0].to"),
        (REQUEST.replace("2151", "2E51") + '[[requests.values]]\nsignal = "oil_c"\nat = 0', "$.requests[0].request"),
        (REQUEST.replace("makes", "protocols").replace('["Toyota"]', '"6"') + '[[requests.values]]\nsignal = "oil_c"\n'
         "at = 0", "$.match: expected makes or wmis"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_profile(HEAD + text, "van.toml")
    assert str(refused.value).startswith("van.toml: ")
    assert place in str(refused.value)


def test_an_installers_folder_goes_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "generic_diesel.toml").write_text(HEAD.replace('"t"', '"mine"'))
    assert load_profiles(str(tmp_path))["generic_diesel"].text == "mine"
    (tmp_path / "bad.toml").write_text("text = ")
    with pytest.raises(ConfigError, match=r"bad\.toml: not TOML"):
        load_profiles(str(tmp_path))
    with pytest.raises(ConfigError, match=r"\$\.obd\.profile_dir"):
        load_profiles(str(tmp_path / "none"))


def test_the_configuration_refuses_a_signal_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('skip = ["speed"]\n')
    with pytest.raises(ConfigError, match="skip: expected a signal of the catalogue"):
        load_config(ObdConfig, path, {})


def test_a_slice_gives_the_catalogues_raw_or_nothing() -> None:
    oil = Slice(signal="oil_c", at=1, offset="-40", not_values=(0,))
    assert oil.raw(bytes([9, 130])) == 130  # 90 C; the catalogue's offset is the same
    assert oil.raw(bytes([9, 0])) is None
    assert Slice(signal="oil_c", at=0, size=2, scale="1/10", offset="-40").raw(b"\xff\xff") is None  # 6513 C
    assert Slice(signal="module_v", at=0, size=2, scale="1/100").raw((1425).to_bytes(2, "big")) == 14_250
    assert Slice(signal="oil_c", at=0, signed=True).raw(b"\xf6") == 30  # -10 C
    assert Slice(signal="gear_ratio", at=0, shift=4, bits=2).raw(b"\x70") == 3_000


@pytest.mark.parametrize(
    ("ecu", "answer"),
    [
        (0x7E9, "615101020304"),  # another computer
        (0x7E8, "615201020304"),  # another identifier
        (0x7E8, "6251010203"),  # another service
        (0x7E8, "6151010203"),  # shorter
        (0x7E8, "61510102030405"),  # longer
    ],
)
def test_a_makers_answer_that_does_not_fit_is_not_believed(ecu: int, answer: str) -> None:
    request = parse_profile(HEAD + REQUEST + '[[requests.values]]\nsignal = "oil_c"\nat = 0', "p").requests[0]
    assert maker_data(request, 0x7E8, bytes.fromhex("615101020304")) == b"\1\2\3\4"
    with pytest.raises(BadAnswer):
        maker_data(request, ecu, bytes.fromhex(answer))


def test_what_a_vin_says() -> None:
    assert (make_of("1HGBH41JXMN109186"), model_years("1HGBH41JXMN109186")) == ("Honda", (1991, 2021))
    assert make_of("WP0ZZZ99ZTS390000") is None
    assert model_years("WVWZZZ1K0ZZ000000"[:9] + "U") == ()
    assert model_years("") == ()
    assert all(2 <= len(start) <= 3 for start in makes())


def test_the_closest_fit_wins_and_all_that_is_given_must_hold() -> None:
    honda = Facts("1HGBH41JXMN109186", "6", 1)

    def score(match: str) -> int | None:
        return fit(parse_profile(f"{HEAD}[match]\n{match}", "p").match, honda)

    assert score("") is None
    assert score("fuel_types = [1]") == 2
    assert score('makes = ["Honda"]\nfuel_types = [4]') is None
    assert score('wmis = ["1HG"]\nmodel_years = [2020, 2022]\nprotocols = "67"') == 13
    assert score('makes = ["Honda"]\nmodel_years = [2000, 2010]') is None
    assert score('protocols = "3"') is None
    assert fit(parse_profile(f'{HEAD}[match]\nmakes = ["Honda"]', "p").match, Facts(None, "6", 1)) is None


def test_the_installers_word_goes_before_the_profile() -> None:
    profile = Profile(text="", source="", periods_s={"oil_c": 5, "speed_kmh": 2}, skip=("maf_gs", "engine_rpm"))
    config = profiled(ObdConfig(periods_s={"speed_kmh": 1, "maf_gs": 2}, skip=("oil_c",)), profile)
    assert config.periods_s == {"oil_c": 5, "speed_kmh": 1, "maf_gs": 2}
    assert config.skip == ("oil_c", "engine_rpm")
