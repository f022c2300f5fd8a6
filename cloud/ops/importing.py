"""`milepost-cloud import`: through the running service when there is one, else with the stages started for it."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from cloud.app import VERSION, Cloud
from cloud.broker_login import Login
from cloud.config import CloudConfig
from cloud.ingest.source import connect
from cloud.ops.control import ControlClient, Place, Status
from cloud.ops.importer import Imported, ImportLink, frames
from cloud.ops.recording import Recording
from sync_protocol.errors import Unavailable
from sync_protocol.subjects import checked_id


async def import_files(
    config: CloudConfig,
    recordings: Sequence[tuple[Path, Recording]],
    tenant: str,
    name: str | None,
    patience: timedelta,
) -> list[Imported]:
    """Import each recording as one stream of a tenant's. `Rejected` or `NotFound` when there is no such tenant."""
    device = None if name is None else checked_id(f"import-{name}", "--name")
    # One content is one device's: the same file under another name is another import.
    places = [Place(tenant, device or f"import-{recording.digest.hex()[:8]}") for _, recording in recordings]
    client = ControlClient(config.data_dir)
    try:
        status = client.ask("GET", "/status", Status)
    except Unavailable:
        cloud = Cloud(config)
        try:
            cloud.open()
            async with cloud.stages():
                for place in places:
                    await cloud.admit(place)
                return await _send(cloud.broker.url, cloud.broker.login(), places, recordings, patience)
        finally:
            cloud.close()
    for place in places:
        client.ask("POST", "/devices", Place, place)
    return await _send(status.nats_url, Cloud(config).broker.login(), places, recordings, patience)


async def _send(
    url: str,
    login: Login,
    places: Sequence[Place],
    recordings: Sequence[tuple[Path, Recording]],
    patience: timedelta,
) -> list[Imported]:
    client = await connect(url, "milepost-import", login)
    out: list[Imported] = []
    try:
        for place, (path, recording) in zip(places, recordings, strict=True):
            word = place.device
            stream_id = sha256(recording.digest + word.encode()).digest()[:16]
            data = frames(recording, stream_id)
            link = ImportLink(client, place.tenant, word, VERSION)
            new = await link.send(stream_id, data, patience)
            out.append(
                Imported(
                    file=path.name,
                    device=word,
                    stream_id=stream_id.hex(),
                    start=recording.start.isoformat().replace("+00:00", "Z"),
                    duration_s=int(recording.times_ms[-1]) / 1000,
                    rows=len(recording.times_ms),
                    samples=int(recording.present.sum()),
                    marked=len(recording.marks),
                    frames=len(data),
                    frames_new=new,
                    columns=[signal.name for signal in recording.signals],
                    ignored_columns=list(recording.ignored),
                )
            )
    finally:
        await client.close()
    return out
