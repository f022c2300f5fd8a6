"""A GPS receiver's sentences (NMEA 0183: RMC, GGA, GSA, VTG), one epoch at a time."""

from datetime import UTC, datetime
import math


def sentence(text: str) -> str:
    """`text` with the dollar sign, the checksum and the line end."""
    check = 0
    for char in text:
        check ^= ord(char)
    return f"${text}*{check:02X}\r\n"


def epoch(
    utc_s: float,
    lat_deg: float,
    lon_deg: float,
    speed_ms: float = 0.0,
    track_deg: float = 0.0,
    altitude_m: float = 35.0,
    *,
    has_fix: bool = True,
) -> bytes:
    """What a receiver sends for one second."""
    at = datetime.fromtimestamp(utc_s, UTC)
    clock, day = at.strftime("%H%M%S.") + f"{at.microsecond // 10000:02d}", at.strftime("%d%m%y")
    if not has_fix:
        lines = [f"GPRMC,{clock},V,,,,,,,{day},,,N", f"GPGGA,{clock},,,,,0,00,99.99,,,,,,", "GPGSA,A,1" + "," * 15]
        return "".join(map(sentence, lines)).encode()
    lat, lon = _angle(lat_deg, "NS", 2), _angle(lon_deg, "EW", 3)
    knots = speed_ms / 0.514444
    lines = [
        f"GPRMC,{clock},A,{lat},{lon},{knots:.2f},{track_deg:.2f},{day},,,A",
        f"GPVTG,{track_deg:.2f},T,,M,{knots:.2f},N,{speed_ms * 3.6:.2f},K,A",
        f"GPGGA,{clock},{lat},{lon},1,09,0.90,{altitude_m:.1f},M,18.0,M,,",
        "GPGSA,A,3," + ",".join(f"{n:02d}" for n in range(1, 10)) + ",,,,1.70,0.90,1.40",
    ]
    return "".join(map(sentence, lines)).encode()


def _angle(degrees: float, sides: str, digits: int) -> str:
    whole = int(abs(degrees))
    return f"{whole:0{digits}d}{(abs(degrees) - whole) * 60:08.5f},{sides[0] if degrees >= 0 else sides[1]}"


def circle(t_s: float, speed_ms: float = 14.0, radius_m: float = 800.0) -> tuple[float, float, float, float]:
    """A drive in a circle: latitude, longitude, speed in m/s and course in degrees after `t_s` seconds."""
    angle = speed_ms * t_s / radius_m
    lat = 52.52 + radius_m * math.cos(angle) / 111_195
    lon = 13.405 + radius_m * math.sin(angle) / (111_195 * math.cos(math.radians(lat)))
    return lat, lon, speed_ms, (math.degrees(angle) + 90) % 360
