"""`milepost replay`: run a recording through the agent's own sampler, and look at what comes out."""

import asyncio
from pathlib import Path

import click
import msgspec

from edge.commands.loading import load
from edge.commands.run import run_agent
from edge.sampling.config import SamplingConfig
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.playback import Playback
from edge.sensors.replay import ReplayConfig, ReplaySensor
from sync_protocol.codec import read_header


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
@click.option("--run", "as_agent", is_flag=True,
              help="Run the agent with the recording in place of its sensors, with outbox and uplink.")  # fmt: skip
@click.option("--speed", type=click.FloatRange(min=0.01), default=1.0, show_default=True,
              help="With --run: times as fast as it was.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one line a frame.")
@click.pass_obj
def command(path: Path | None, recording: Path, as_agent: bool, speed: float, as_json: bool) -> None:
    """Play RECORDING at once through the sampler and print its frames; with --run through outbox and uplink as well."""
    if as_agent:
        play = ReplayConfig(path=str(recording), speed=speed)
        run_agent(msgspec.structs.replace(load(path), replay=play))
        return
    frames = frames_of(recording)
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


def frames_of(recording: Path) -> list[PlayedFrame]:
    """The frames that a recording makes. `Rejected` when it is none."""
    frames: list[PlayedFrame] = []

    def take(frame: ClosedFrame) -> None:
        body = frame.encode(bytes(16), len(frames) + 1, 1)
        header = read_header(body)
        kinds = tuple(event.kind for event in frame.meta.events)
        frames.append(
            PlayedFrame(header.seq, header.first_ms, header.last_ms, header.samples, kinds, size_bytes=len(body))
        )

    playback = Playback(SamplingConfig(), take)
    sensor = ReplaySensor(ReplayConfig(path=str(recording), speed=0), playback.clock.boot_ms)
    asyncio.run(sensor.run(playback))
    playback.sampler.close()
    return frames
