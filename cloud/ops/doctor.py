"""Whether a deployment is set up as it should be: every check of `milepost-cloud doctor`, in the order of its table."""

from collections.abc import Callable, Sequence
from datetime import datetime

from cloud.config import CloudConfig
from cloud.ops import doctor_files as files
from cloud.ops import doctor_peers as peers
from cloud.ops.finding import Finding, skipped

Check = Callable[[CloudConfig, datetime], Sequence[Finding]]
CHECKS: tuple[Check, ...] = (
    files.demo,
    files.data_folder,
    files.identity,
    files.certificates,
    files.secrets,
    files.disk,
    files.clock,
    peers.service,
    peers.database,
    peers.broker,
    peers.mail,
)


def examine(config: CloudConfig, now: datetime) -> list[Finding]:
    """All findings. Changes nothing; the service may run meanwhile, or not. `now` is aware UTC."""
    owner = files.foreign_owner(config)
    if owner is not None:
        # A database that root opens may be left with files that the service cannot write.
        return [owner, skipped("everything else", "look again as the owner of the data")]
    return [finding for check in CHECKS for finding in check(config, now)]
