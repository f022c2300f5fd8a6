"""Hellos, answers, acknowledgements, commands; subjects; configuration."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import msgspec
import pytest

from sync_protocol import messages, subjects
from sync_protocol.config import load_config
from sync_protocol.errors import ConfigError, Invalid, Rejected
from sync_protocol.messages import Ack, Command, Down, Gap, Hello, HelloAnswer, StreamAnswer, StreamState

HELLO = Hello("0.1.0", 3, 12_345, (StreamState(b"s" * 16, True, 9, ((1, 4),), ((5, 9),), (Gap(2, 3, "disk_full"),)),))
DOWN: list[Down] = [
    Ack(b"s" * 16, ((1, 4, 0xDEADBEEF), (6, 6, 1)), ((5, 7),)),
    HelloAnswer(1_800_000_000_000, (StreamAnswer(b"s" * 16, ((1, 4),)),)),
    Command(7, "watch", 1_800_000_060_000, {"lease_s": 60}),
]


def test_a_hello_survives_the_way() -> None:
    data = messages.encode_hello(HELLO)
    assert messages.is_hello(data)
    assert messages.decode_hello(data) == HELLO


@pytest.mark.parametrize("message", DOWN, ids=lambda m: type(m).__name__)
def test_messages_down_survive_the_way(message: Down) -> None:
    assert messages.decode_down(messages.encode_down(message)) == message


def test_fields_of_a_newer_version_are_skipped() -> None:
    data = msgspec.msgpack.encode([*msgspec.msgpack.decode(messages.encode_down(DOWN[0])), "new"])
    assert messages.decode_down(data) == DOWN[0]


@given(st.binary(max_size=64))
def test_garbage_is_rejected(data: bytes) -> None:
    with pytest.raises(Rejected):
        messages.decode_down(data)
    with pytest.raises(Rejected):
        messages.decode_hello(messages.HELLO_MAGIC + data)


def test_subjects_are_built_and_parsed() -> None:
    assert subjects.up("acme", "van-1") == "f.acme.van-1"
    assert subjects.down("acme", "van-1") == "d.acme.van-1"
    assert subjects.parse_up("f.acme.van-1") == ("acme", "van-1")
    assert subjects.topic("f.acme.van-1") == "f/acme/van-1"


@pytest.mark.parametrize("name", ["*", ">", "a.b", "", "A", "a b", "-a", "a" * 64, "ä"])
def test_a_name_that_could_be_a_wildcard_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        subjects.up("acme", name)
    with pytest.raises(Invalid):
        subjects.down(name, "van-1")
    with pytest.raises(Invalid):
        subjects.parse_up(f"f.acme.{name}")


def test_another_subject_is_refused() -> None:
    with pytest.raises(Invalid, match="expected f"):
        subjects.parse_up("d.acme.van-1")


class _Gps(msgspec.Struct, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    period_s: float = 1.0


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    name: str = "x"
    folder: Path = Path("data")
    gps: _Gps = msgspec.field(default_factory=_Gps)


def test_environment_overlays_the_file(tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    file.write_text('name = "van"\nfolder = "/srv/x"\n[gps]\nperiod_s = 2\n')
    env = {"MILEPOST__GPS__PERIOD_S": "0.5", "MILEPOST__GPS__HOST": "gps.local", "HOME": "/"}
    config = load_config(_Config, file, env)
    assert (config.name, config.gps.period_s, config.gps.host) == ("van", 0.5, "gps.local")
    assert config.folder == Path("/srv/x")
    assert load_config(_Config, None, {}) == _Config()


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ('[gps]\nperiod_s = "fast"', {}, r"Expected `float`, got `str` - at `\$.gps.period_s`"),
        ("[gps]\nspeed = 1", {}, "unknown field `speed`"),
        ("folder = 5", {}, r"Expected a path as text, got 5 - at `\$.folder`"),
        ("[gps", {}, "not TOML"),
        ("name = 'x'", {"MILEPOST__NAME__X": "1"}, r"\$.name is a value"),
    ],
)
def test_a_bad_configuration_names_the_place(tmp_path: Path, text: str, env: dict[str, str], expected: str) -> None:
    file = tmp_path / "device.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_config(_Config, file, env)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load_config(_Config, tmp_path / "absent.toml", {})
