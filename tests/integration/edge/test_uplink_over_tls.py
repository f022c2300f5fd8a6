"""The agent over TLS with a private authority: frames arrive; without the right authority not one byte of them does."""

import asyncio
from pathlib import Path
import ssl

import nats

from sync_protocol import subjects
from sync_protocol.header import is_frame
from tests.support.agent_process import AgentProcess, write_recording
from tests.support.authority import Authority
from tests.support.nats_peer import NatsPeer
from tests.support.waiting import until


def test_frames_flow_over_tls_and_only_to_a_broker_of_the_right_authority(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    authority, stranger = Authority(tmp_path), Authority(tmp_path / "other")
    recording = tmp_path / "drive.jsonl"
    write_recording(recording, 60)

    async def scene(broker: NatsPeer) -> None:
        heard: list[bytes] = []

        async def hear(message: nats.aio.msg.Msg) -> None:
            heard.append(message.data)

        url = broker.url.replace("nats://", "tls://")
        client = await nats.connect(url, tls=ssl.create_default_context(cafile=authority.ca_file))
        await client.subscribe(subjects.up("acme", "van-1"), cb=hear)
        with AgentProcess(url, recording) as agent:
            settings = agent.config.read_text()
            agent.config.write_text(settings.replace("[uplink]\n", f'[uplink]\nca_file = "{stranger.ca_file}"\n'))
            await asyncio.to_thread(agent.start)
            await until(lambda: "certificate" in agent.ask("status")["link"]["detail"], 20, "a refusal")
            assert agent.stop() == 0
            assert not heard
            agent.config.write_text(settings.replace("[uplink]\n", f'[uplink]\nca_file = "{authority.ca_file}"\n'))
            await asyncio.to_thread(agent.start)
            await until(lambda: any(is_frame(data) for data in heard), 20, "a frame")
            assert agent.stop() == 0
        await client.close()

    with NatsPeer(tmp_path / "nats", extra=authority.nats_tls(2000, 2100)) as broker:
        asyncio.run(scene(broker))
