"""Two connections with one key: a device that came back, or two machines."""

import json

from cloud.enrolment.connections import Connections, Look, read_connz, read_event


def event(word: str, user: str, cid: int) -> bytes:
    return json.dumps(
        {"type": f"io.nats.server.advisory.v1.client_{word}", "client": {"user": user, "id": cid}}
    ).encode()


def test_events_and_answers_of_the_broker() -> None:
    assert read_event(event("connect", "UA", 5)) == ("UA", 5, True)
    assert read_event(event("disconnect", "UA", 5)) == ("UA", 5, False)
    assert read_event(b"{}") is None
    answer = {"data": {"connections": [{"cid": 1, "in_msgs": 7, "authorized_user": "UA", "ip": "::1"}]}}
    assert read_connz(json.dumps(answer).encode()) == [Look("UA", 1, 7)]
    assert read_connz(b"no") == []


def test_a_dead_connection_beside_a_live_one_is_no_clone() -> None:
    seen = Connections()
    seen.note("UA", 1, is_open=True)
    assert seen.doubled() == []
    seen.note("UA", 2, is_open=True)
    assert seen.doubled() == ["UA"]
    assert not seen.look("UA", [Look("UA", 1, 50), Look("UA", 2, 0)])
    assert not seen.look("UA", [Look("UA", 1, 50), Look("UA", 2, 9)]), "the old one has said nothing more"
    assert not seen.look("UA", [Look("UA", 2, 12)]), "and is gone"
    assert seen.doubled() == []
    assert seen.of("UA") == [2]


def test_two_that_go_on_sending_are_a_clone() -> None:
    seen = Connections()
    seen.reset([Look("UA", 1, 50), Look("UA", 2, 3), Look("UB", 3, 1)])
    assert not seen.look("UA", [Look("UA", 1, 50), Look("UA", 2, 3)])
    assert not seen.look("UA", [Look("UA", 1, 51), Look("UA", 2, 3)])
    assert seen.look("UA", [Look("UA", 1, 51), Look("UA", 2, 4)]), (
        "not at the same moment, but both since the first look"
    )
    assert not seen.look("UA", [Look("UA", 1, 51), Look("UA", 2, 4)]), "said once, until both go on again"
    seen.note("UA", 1, is_open=False)
    seen.note("UA", 2, is_open=False)
    assert seen.of("UA") == []
    assert seen.of("UB") == [3]
