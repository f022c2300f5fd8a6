"""`just torture [--kills 100] [--devices 3] [--seed N]`: the storm, the comparison, the report."""

import argparse
import asyncio
import json
from pathlib import Path
import shutil
import sys
import tempfile
import time

from tests.torture.compare import Verdict, compare
from tests.torture.storm import FRAME_PERIOD_S, Storm


async def torture(directory: Path, kills: int, devices: int, seed: int) -> tuple[Storm, Verdict, list[str]]:
    """One storm in an empty directory, and what it left."""
    storm = Storm(directory, devices, seed)
    async with storm.running():
        await storm.blow(kills)
        await storm.settle()
        verdict, wrong = compare(
            directory / "cloud" / "telemetry.duckdb",
            {device.name: device.outbox for device in storm.devices},
            {device.name: device.logs for device in storm.devices},
        )
    return storm, verdict, wrong


def is_kept(verdict: Verdict, kills: int) -> bool:
    """Whether the promise was kept."""
    return (
        verdict.frames > 0
        and not (verdict.lost or verdict.doubled or verdict.altered or verdict.gaps_unreported)
        and verdict.uncommitted_s <= kills * FRAME_PERIOD_S
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="leave the directory for a look")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="torture-"))
    began = time.monotonic()
    storm, verdict, wrong = asyncio.run(torture(directory, options.kills, options.devices, options.seed))
    kept = is_kept(verdict, options.kills)
    proxies = [device.proxy for device in storm.devices]
    report = {
        "kills": storm.kills.total(),
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "altered": verdict.altered,
        "uncommitted_s": round(verdict.uncommitted_s, 2),
        "gaps_unreported": verdict.gaps_unreported,
        "killed": dict(storm.kills),
        "links": {
            "cuts": sum(p.cuts for p in proxies),
            "half_open": storm.tricks["half_open"],
            "duplicated": sum(p.duplicated for p in proxies),
            "reordered": sum(p.reordered for p in proxies),
        },
        "frames": verdict.frames,
        "samples": verdict.samples,
        "seconds": round(time.monotonic() - began),
        "seed": options.seed,
        "wrong": wrong[:50],
    }
    Path("build").mkdir(exist_ok=True)
    Path("build/torture.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for key, value in report.items():
        print(f"{key:>16}  {value}")
    print("the promise was kept" if kept else f"THE PROMISE WAS BROKEN; see {directory}")
    if kept and not options.keep:
        shutil.rmtree(directory)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
