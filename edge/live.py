"""The newest values of all signals, for `milepost live`."""

from edge.sampling.sampler import Sampler
from edge.status import LiveValue
from sync_protocol.signals import catalogue


def live_values(sampler: Sampler, boot_ms: int) -> list[LiveValue]:
    """The newest sample of every signal that has come, in the catalogue's order."""
    by_id = catalogue().by_id
    return [
        LiveValue(
            by_id[signal_id].name,
            by_id[signal_id].value(raw),
            by_id[signal_id].unit,
            max(0, boot_ms - at_ms) / 1000,
            sampler.is_stale(signal_id),
        )
        for signal_id, (at_ms, raw) in sorted(sampler.latest.items())
    ]
