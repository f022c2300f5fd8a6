"""`milepost replay`: run a recording through the agent's own sensors and sampler, and look at what comes out."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
import logging
from pathlib import Path

import click
import msgspec
import structlog

from edge.commands.loading import load as load_config
from edge.commands.run import run_agent
from edge.replay.check import Report, again, check
from edge.replay.check import frames_of as raw_frames_of
from edge.replay.player import Played, Recorded, load, play
from edge.sampling.config import SamplingConfig
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.playback import Playback
from edge.sensors.recording import Given
from edge.sensors.replay import ReplayConfig, ReplaySensor
from sync_protocol.codec import read_header

_SHOWN_DIFFERENCES = 10


class PlayedFrame(msgspec.Struct, frozen=True):
    """One frame that the recording makes. Times are those of the recording, in boot_ms."""

    seq: int
    first_ms: int
    last_ms: int
    samples: int
    events: tuple[str, ...]
    size_bytes: int


@click.command("replay")
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", "is_checked", is_flag=True, help="Compare with what was recorded; exit 1 when it differs.")
@click.option("--strict", is_flag=True, help="End at the first request that was not made when it was recorded.")
@click.option("--run", "as_agent", is_flag=True,
              help="Run the agent on the recorded samples instead of its sensors, with outbox and uplink.")  # fmt: skip
@click.option("--speed", type=click.FloatRange(min=0), default=None,
              help="1 is as fast as it was, 0 at once [default: 0; with --run 1].")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one line a frame.")
@click.pass_obj
def command(
    path: Path | None, recording: Path, is_checked: bool, strict: bool, as_agent: bool, speed: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Run RECORDING through the agent's sensors and sampler and print the frames.

    Sensors run on the bytes that were recorded, in the time that was recorded. Where this software asks what was not
    asked then, the last known answer is given, and what differs is said. A recording of rows alone has no bytes: its
    rows go to the sampler.
    """
    if as_agent:
        config = ReplayConfig(path=str(recording), speed=1.0 if speed is None else speed)
        run_agent(msgspec.structs.replace(load_config(path), replay=config))
        return
    recorded = load(recording)
    if recorded is None:
        if is_checked or strict:
            raise click.UsageError(f"{recording} holds rows only: there are no bytes to check them by")
        _print(frames_of(recording), as_json)
        return
    with _quiet():
        played = play(recorded, speed=speed or 0.0, is_strict=strict, tell=_tell if speed and not as_json else None)
    if not is_checked:
        _print(_described(raw_frames_of(recorded, again(recorded, played))), as_json)
        _print_departures(played)
        return
    report = check(recorded, played)
    if as_json:
        click.echo(msgspec.json.encode(report._asdict()))
    else:
        _print_report(report, recorded)
    if report.differences:
        raise click.exceptions.Exit(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """What sensors log of a drive long past is no news."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


def frames_of(recording: Path) -> list[PlayedFrame]:
    """The frames that the rows of a recording make. `Rejected` when it is none."""
    closed: list[ClosedFrame] = []
    playback = Playback(SamplingConfig(), closed.append)
    sensor = ReplaySensor(ReplayConfig(path=str(recording), speed=0), playback.clock.boot_ms)
    asyncio.run(sensor.run(playback))
    playback.sampler.close()
    return _described(closed)


def _described(frames: Iterable[ClosedFrame]) -> list[PlayedFrame]:
    described = []
    for seq, frame in enumerate(frames, start=1):
        body = frame.encode(bytes(16), seq, 1)
        header = read_header(body)
        kinds = tuple(event.kind for event in frame.meta.events)
        described.append(PlayedFrame(seq, header.first_ms, header.last_ms, header.samples, kinds, size_bytes=len(body)))
    return described


def _tell(line: Given) -> None:
    click.echo(msgspec.json.encode(line))


def _print(frames: list[PlayedFrame], as_json: bool) -> None:
    if as_json:
        for frame in frames:
            click.echo(msgspec.json.encode(frame))
        return
    for frame in frames:
        click.echo(
            f"{frame.seq:>6}  {frame.first_ms}..{frame.last_ms} ms  {frame.samples:>5} samples  "
            f"{frame.size_bytes:>6} bytes  {' '.join(frame.events)}"
        )
    samples = sum(frame.samples for frame in frames)
    size_bytes = sum(frame.size_bytes for frame in frames)
    click.echo(
        f"{len(frames)} frames, {samples} samples, {size_bytes} bytes, {size_bytes / max(samples, 1):.2f} a sample"
    )


def _print_departures(played: Played) -> None:
    if played.differences.count:
        click.echo(f"{played.differences.count} requests differ from the recording; --check shows them", err=True)


def _print_report(report: Report, recorded: Recorded) -> None:
    seconds = (recorded.end_ms - recorded.context.t) / 1000
    what = f"{report.lines} rows, marks, events and anchors and {report.frames} frames of {seconds:.0f} s"
    if not report.differences:
        click.echo(f"the same: {what}")
        return
    click.echo(f"{len(report.differences)} differences in {what}:")
    for text in report.differences[:_SHOWN_DIFFERENCES]:
        click.echo(f"  {text}")
    if len(report.differences) > _SHOWN_DIFFERENCES:
        click.echo(f"  and {len(report.differences) - _SHOWN_DIFFERENCES} more")
