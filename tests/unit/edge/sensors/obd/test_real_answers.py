"""Every real mode 01 answer of the OBDb recordings decodes to what OBDb expects of it."""

from collections import Counter
import csv
import json

import pytest

from edge.sensors.obd.answer import Bus, messages, positive
from edge.sensors.obd.decode import by_ecu, raw_values, split_pids
from sync_protocol.signals import catalogue
from tests.support.real_data import require_data

# OBDb's names for signals of ours.
NUMBERS = {
    "AAT": "ambient_c",
    "APP_D": "pedal_d_pct",
    "APP_E": "pedal_e_pct",
    "CLR_DIST": "clear_distance_km",
    "CLR_TIME": "clear_time_min",
    "DTC_CNT": "dtc_count",
    "ECT": "coolant_c",
    "EQ_RAT": "commanded_lambda",
    "LAMBDA11_CURRENT": "lambda_current_b1s1",
    "LAMBDA11_VOLT": "lambda_b1s1",
    "LOAD_PCT": "engine_load_pct",
    "MAF": "maf_gs",
    "MIL": "is_mil_on",
    "MIL_DIST": "mil_distance_km",
    "MIL_TIME": "mil_time_min",
    "O2S11_CURRENT": "wide_o2_b1s1_ma",
    "O2S11_VOLT": "wide_o2_b1s1_v",
    "RPM": "engine_rpm",
    "RUNTM": "run_time_s",
    "SHRTFT1": "short_trim_1_pct",
    "TP": "throttle_pct",
    "TP_B": "throttle_b_pct",
    "TP_R": "relative_throttle_pct",
    "VPWR": "module_v",
    "VSS": "speed_kmh",
    "WARM_UPS": "warmups_count",
}
# OBDb works with rounded resolutions: 0.000122 V for 8/65536 V, 2/65535 for 2/65536.
TOLERANCE = {"O2S11_VOLT": 6e-4, "EQ_RAT": 2e-5, "LAMBDA11_VOLT": 2e-5, "LAMBDA11_CURRENT": 2e-5}
TEXTS = {
    "FUELSYS1": ("fuel_system_1", {"OL": 1, "CL": 2, "OL-Drive": 4}),
    "FUELSYS2": ("fuel_system_2", {"OL": 1, "CL": 2, "OL-Drive": 4}),
    "OBDSUP": ("obd_standard", {"OBD II": 1}),
}
# Bits of bytes B, C, D of PIDs 01 and 41 (SAE J1979): supported or enabled, and not ready.
_MONITORS = {"MIS": 16, "FUEL": 17, "CCM": 18, "CAT": 8, "HCAT": 9, "EVAP": 10, "AIR": 11, "ACRF": 12, "O2S": 13}
_MONITORS |= {"HTR": 14, "EGR": 15}
BITS: dict[str, tuple[str, int]] = {"CIM_SUP": ("monitor_bits", 19), "CIM_SUP_FLAG": ("cycle_monitor_bits", 19)}
for _name, _bit in _MONITORS.items():
    _unready = _bit + 4 if _bit >= 16 else _bit - 8
    BITS[f"{_name}_SUP"] = ("monitor_bits", _bit)
    BITS[f"{_name}_RDY"] = ("monitor_bits", _unready)
    BITS[f"{_name}_ENA"] = ("cycle_monitor_bits", _bit)
    for _text in (f"{_name}_CMPL", f"{_name}CMPL"):
        BITS[_text] = ("cycle_monitor_bits", _unready)


def decode(command: str, text: str) -> dict[str, int]:
    """Raw values by signal name, by the same steps as in the vehicle."""
    pid = int(command.removeprefix("7E0.01"), 16)
    data = by_ecu(positive(messages(text.split("|"), Bus("6")), 0x01))[0x7E8]
    answers = split_pids(data, (pid,), catalogue().pid_bytes)
    raw = raw_values(answers, catalogue().by_pid[pid])
    return {catalogue().by_id[signal_id].name: value for signal_id, value in raw.items()}


@pytest.mark.real_data
def test_all_real_answers() -> None:
    path = require_data("elm327", "obdb-toyota-4runner", "responses_mode01.csv")
    compared: Counter[str] = Counter()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        raw = decode(row["command_id"], row["response_hex"])
        for name, expected in json.loads(row["expected_values_json"]).items():
            if name in NUMBERS:
                signal = catalogue().by_name[NUMBERS[name]]
                value = signal.value(raw[signal.name])
                tolerance = TOLERANCE.get(name, 1e-6) * abs(expected) + 5.1e-6  # five decimals are given
                assert abs(value - expected) <= tolerance, (row, name, value)
            elif name in TEXTS:
                signal_name, meaning = TEXTS[name]
                assert raw[signal_name] == meaning[expected], (row, name)
            else:
                signal_name, bit = BITS[name]  # KeyError: a name that nobody has looked at
                wanted = {"SPARK": 0, "COMPRESSION": 1}.get(expected, expected)
                assert raw[signal_name] >> bit & 1 == wanted, (row, name)
            compared[name] += 1
    print(f"{len(rows)} answers, {compared.total()} values of {len(compared)} names: {dict(sorted(compared.items()))}")
    assert len(rows) == 134
    assert compared.total() >= len(rows)
