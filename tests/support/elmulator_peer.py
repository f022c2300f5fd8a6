"""elmulator (a test dependency, MIT) serving a scenario over TCP, in a process of its own. Scenarios are made of data.

It knows no count digit and answers each entry as written, so every command that is asked needs an entry of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
import importlib.util
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

from tests.support.elm_fakes import FakeEcu, engine, iso_tp

Reply = Mapping[str, Any]
"""Fields of one entry beside its request: `response_chunks`, `delay_ms`, `post_action`, `repeat`."""


def good(request: str, ecu: FakeEcu | None = None) -> Reply:
    """What a good adapter says, with its echo."""
    data = (ecu or engine()).answer(bytes.fromhex(request))
    lines = iso_tp(0x7E8, data) if data is not None else ["NO DATA"]
    return {"response_chunks": ["\r".join(lines) + "\r\r>"]}


def scenario(name: str, replies: Mapping[str, Sequence[Reply]]) -> dict[str, Any]:
    """A scenario: the set-up and a running engine, except for the commands in `replies`, one reply after the other."""
    said: dict[str, Sequence[Reply]] = {
        "ATZ": [{"response_chunks": ["ELM327 v1.5\r\r>"]}],
        "ATI": [{"response_chunks": ["ELM327 v1.5\r\r>"]}],
        "ATRV": [{"response_chunks": ["14.1V\r\r>"]}],
        "ATDPN": [{"response_chunks": ["6\r\r>"]}],
        **{request: [good(request)] for request in ("0100", "0120", "0140", "010D", "010C", "03", "0902")},
    }
    said |= replies
    commands = [
        {"request": request, "echo": True, "prompt": True, **reply} for request, some in said.items() for reply in some
    ]
    ok = [c for c in ("ATE1", "ATM0", "ATL0", "ATS0", "ATAT1", "ATH1", "ATSP6", "ATSP0", "ATPC") if c not in said]
    commands += [{"request": c, "echo": True, "prompt": True, "response_chunks": ["OK\r\r>"]} for c in ok]
    return {
        "schema_version": "obd2.sim_scenario.v1",
        "scenario_id": name,
        "synthetic": True,
        "description": f"fault: {name}",
        "adapter_profile": "elm327_like_tcp",
        "defaults": {"at_response": "?\r\r>", "obd_response": "NO DATA\r\r>"},
        "stream_split_bytes": None,
        "warnings": [],
        "commands": commands,
        "expected_scan_summary": {},
    }


@contextmanager
def elmulator(folder: Path, content: Mapping[str, Any], *options: str) -> Iterator[str]:
    """The URL of a server of this scenario; skips the test where it is not installed."""
    if importlib.util.find_spec("elmulator") is None:
        pytest.skip("elmulator is not installed (dependency group emulator)")
    path = folder / f"{content['scenario_id']}.scenario.json"
    path.write_text(json.dumps(content))
    process = subprocess.Popen(
        [sys.executable, "-m", "elmulator", "serve", str(path), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        word, port = process.stdout.readline().split()
        assert word == "LISTENING"
        yield f"socket://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()
