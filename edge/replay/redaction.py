"""Takes out of a recording what tells whose vehicle it is and where it was, so that it still replays the same."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edge.replay.check import frames_of
from edge.replay.player import Recorded
from edge.replay.secrets import VIN_LENGTH, Hidden, redacted_bus, vin_in_place_of
from edge.replay.whereabouts import ALTITUDE, LAT, LON, Moved
from edge.sensors.gps_report import GPS_IDS, Tpv
from edge.sensors.recorder import Recorder
from edge.sensors.recording import (
    AnchorLine,
    BusLine,
    Context,
    EventLine,
    FrameLine,
    GpsLine,
    Line,
    MarkLine,
    Row,
    read_header,
    read_recording,
)
from edge.tap import frame_line
from sync_protocol.errors import Conflict

_DAY_MS = 86_400_000


class Redaction(NamedTuple):
    """What is taken out besides the vehicle's number and the place, which always are."""

    has_position: bool = True  # the drive moved elsewhere; else nothing of GPS is kept but its time
    shift_days: int = 0
    has_calibrations: bool = True


def redact(source: Path, target: Path, redaction: Redaction) -> None:
    """Write `target` from `source`. `Rejected` when that is no recording, `Conflict` when `target` exists."""
    if target.exists():
        raise Conflict(f"{target}: exists")
    header = read_header(source)
    lines = list(_redacted(list(read_recording(source)), redaction))
    context = next((line for line in lines if isinstance(line, Context)), None)
    utc_ms = None if header.utc_ms is None else header.utc_ms + redaction.shift_days * _DAY_MS
    done: tuple[str, ...] = ("vin", "position" if redaction.has_position else "no position")
    done += ("time",) if redaction.shift_days else ()
    done += () if redaction.has_calibrations else ("calibrations",)
    with Recorder(target, header.boot_ms, utc_ms, header.agent, done) as recorder:
        for line in lines if context is None else _with_frames(context, lines):
            recorder.write(line)
    if recorder.failure:
        target.unlink(missing_ok=True)
        raise Conflict(f"{target}: {recorder.failure}")


def _redacted(lines: list[Line], redaction: Redaction) -> Iterator[Line]:
    hidden = _hidden(lines, redaction)
    moved = _moved(lines, redaction.shift_days)
    shift_ms = redaction.shift_days * _DAY_MS
    for line in redacted_bus(lines, hidden):
        if not redaction.has_position and _is_of_gps(line):
            continue
        match line:
            case Context():
                yield _context(line, redaction, hidden, moved)
            case GpsLine():
                data = moved.line(line.content).decode("latin-1") if line.dir == "rx" else line.data
                yield msgspec.structs.replace(line, data=data)
            case BusLine():
                yield line if line.dir not in ("refused", "lost") else msgspec.structs.replace(line, note=line.dir)
            case Row():
                yield msgspec.structs.replace(line, raw=moved.values(line.raw))
            case EventLine():
                yield msgspec.structs.replace(line, data=_event(line.data, hidden, moved, shift_ms))
            case AnchorLine():
                by = line.by if redaction.has_position else ""
                yield msgspec.structs.replace(line, utc_ms=line.utc_ms + shift_ms, by=by)
            case _:
                yield line


def _hidden(lines: list[Line], redaction: Redaction) -> Hidden:
    vins: list[str] = []
    calibrations: list[dict[str, Any]] = []
    for line in lines:
        held: dict[str, Any] = {}
        if isinstance(line, Context):
            held = line.obd_memory
            calibrations += held.get("calibrations", {}).values()
        elif isinstance(line, EventLine):
            held = line.data
            calibrations += [held] if line.kind.startswith("calibration") else []
        vin = held.get("vin")
        if isinstance(vin, str) and len(vin) == VIN_LENGTH and vin not in vins:
            vins.append(vin)
    replacements = {vin: vin_in_place_of(vin, number) for number, vin in enumerate(vins, start=1)}
    if redaction.has_calibrations:
        return Hidden(replacements)
    ids = {text for known in calibrations for text in _texts(known, "ids")}
    codes = {text for known in calibrations for text in _texts(known, "cvns")}
    return Hidden(replacements | {text: "X" * len(text) for text in ids}, codes)


def _texts(known: dict[str, Any], ending: str) -> Iterator[str]:
    """Lists of texts under keys as `ids`, `ids_before`."""
    for key, value in known.items():
        if ending in key and isinstance(value, list | tuple):
            yield from (text for text in value if isinstance(text, str))


def _moved(lines: Iterable[Line], days: int) -> Moved:
    """Turned so that the first place becomes the target."""
    for line in lines:
        if isinstance(line, GpsLine) and line.dir == "rx":
            try:
                tpv = msgspec.json.decode(line.content, type=Tpv)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if tpv.lat is not None and tpv.lon is not None:
                altitude_m = tpv.altMSL if tpv.altMSL is not None else tpv.alt
                return Moved(tpv.lat, tpv.lon, altitude_m or 0.0, days)
        elif isinstance(line, Row) and LAT.id in line.raw and LON.id in line.raw:
            altitude_m = ALTITUDE.value(line.raw.get(ALTITUDE.id, ALTITUDE.raw(0.0)))
            return Moved(LAT.value(line.raw[LAT.id]), LON.value(line.raw[LON.id]), altitude_m, days)
    return Moved(0.0, 0.0, 0.0, days)


def _is_of_gps(line: Line) -> bool:
    if isinstance(line, Row):
        return not set(GPS_IDS).isdisjoint(line.raw)
    if isinstance(line, MarkLine):
        return not set(GPS_IDS).isdisjoint(line.ids)
    return isinstance(line, GpsLine) or (isinstance(line, EventLine) and line.by == "gps")


def _context(context: Context, redaction: Redaction, hidden: Hidden, moved: Moved) -> Context:
    shift_ms = redaction.shift_days * _DAY_MS
    obd, gps, anchor = context.obd, context.gps, context.anchor
    if obd is not None:
        port = str(obd.get("port", ""))
        obd = obd | {"port": "socket://adapter:35000" if "://" in port else "/dev/milepost-obd", "state_path": None}
    if gps is not None and redaction.has_position:
        device = gps.get("device")
        gps = gps | {"host": "127.0.0.1", "device": moved.device(device) if isinstance(device, str) else None}
    elif gps is not None:
        gps = None
    if anchor is not None:
        anchor = (anchor[0], anchor[1] + shift_ms, anchor[2], anchor[3])
    memory = hidden.in_value(context.obd_memory)
    assert isinstance(memory, dict)
    return msgspec.structs.replace(
        context, obd=obd, gps=gps, anchor=anchor, obd_memory=memory,
        released_utc_ms=context.released_utc_ms + shift_ms,
    )  # fmt: skip


def _event(data: dict[str, Any], hidden: Hidden, moved: Moved, shift_ms: int) -> dict[str, Any]:
    plain = hidden.in_value(data)
    assert isinstance(plain, dict)
    lat_deg, lon_deg = plain.get("lat_deg"), plain.get("lon_deg")
    if isinstance(lat_deg, int | float) and isinstance(lon_deg, int | float):
        plain["lat_deg"], plain["lon_deg"] = moved.place(lat_deg, lon_deg)
    return {
        key: value + shift_ms if key.endswith("utc_ms") and isinstance(value, int) else value
        for key, value in plain.items()
    }


def _with_frames(context: Context, lines: list[Line]) -> Iterator[Line]:
    """The lines with the frames that they make now: other samples are other bytes."""
    frames = frames_of(Recorded(context, lines), lines)
    number = 0
    for line in lines:
        if not isinstance(line, FrameLine):
            yield line
        elif number < len(frames):
            number += 1
            yield frame_line(frames[number - 1], line.t, number)
