"""The shipped profiles of single models against what such vehicles really answered."""

import csv
import json

import numpy as np
import pytest

from edge.sensors.obd.answer import Bus, messages
from edge.sensors.obd.maker import maker_data
from edge.sensors.obd.profile import load_profiles
from sync_protocol.signals import catalogue
from tests.support.real_data import require_data
from tests.support.recordings import carobd


@pytest.mark.real_data
def test_the_oil_temperature_is_the_one_that_was_recorded() -> None:
    (request,) = load_profiles(None)["toyota_4runner"].requests
    (value,) = request.values
    path = require_data("elm327", "obdb-toyota-4runner", "responses.csv")
    compared = 0
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            expected = json.loads(row["expected_values_json"]).get("4RUNNER_EOT")
            if not row["command_id"].startswith("7E0.7E8.2151") or expected is None:
                continue
            (found,) = messages(row["response_hex"].split("|"), Bus("6"))
            raw = value.raw(maker_data(request, found.ecu, found.data))
            if raw is None:
                assert expected == -40  # byte 0: no sensor
                continue
            assert catalogue().by_name["oil_c"].value(raw) == expected
            compared += 1
    assert compared > 100


@pytest.mark.slow
@pytest.mark.real_data
def test_the_etios_says_zero_for_a_ratio_and_changes_its_temperatures_slowly() -> None:
    profile = load_profiles(None)["toyota_etios"]
    by_name = catalogue().by_name
    assert profile.skipped_pids == {by_name["commanded_lambda"].pid}
    recordings = list(carobd(require_data("obd").parent))
    assert len(recordings) > 50
    for recording in recordings:
        rows = dict(zip(recording.group.signal_ids, recording.group.values, strict=True))
        assert not rows[by_name["commanded_lambda"].id].any(), recording.name
        assert np.ptp(rows[by_name["engine_rpm"].id]) > 0, "it is the signal that is dead, not the recording"
        for name in ("coolant_c", "intake_air_c"):
            raw, period_s = rows[by_name[name].id], int(profile.periods_s[name])
            assert np.abs(raw[period_s:] - raw[:-period_s]).max() * by_name[name].factor <= 4, recording.name
