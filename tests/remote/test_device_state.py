from typing import Any

import pytest

from facenas.devices.targets import resolve_target
from facenas.errors import DeviceError
from facenas.on_device.device_facts import facts, state
from facenas.remote.device_state import StateWatch, fingerprint_of_facts
from facenas.runtimes.runtime import read_fingerprint

# What the agent would read on a Jetson, after NVIDIA's documentation; no board was at hand.
JETSON_FACTS = {
    "cpuinfo": {"processor": "0", "CPU implementer": "0x41", "CPU part": "0xd42", "Features": "fp asimd asimddp"},
    "cores": 6,
    "governor": "schedutil",
    "system": "Linux",
    "machine": "aarch64",
    "processor": "aarch64",
    "board": "NVIDIA Jetson Orin Nano Developer Kit",
    "l4t": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
    "power_mode": "NV Power Mode: 15W\n0",
    "gpu": "Orin (compute capability 8.7)",
    "cuda_driver": "12.6",
    "runtime_version": "10.3.0",
}
COOL = {
    "temperature_c": 50.0,
    "gpu_hz": 624_750_000,
    "gpu_max_hz": 624_750_000,
    "throttle_events": 2,
    "power_mode_file": "pmode:0000",
}


def test_a_device_like_this_machine_has_this_machines_fingerprint() -> None:
    import onnxruntime

    told = facts() | {"runtime_version": onnxruntime.__version__}
    target = resolve_target("cpu")
    assert fingerprint_of_facts(told, target, "here") == read_fingerprint(target)
    assert set(state()) == set(COOL)


def test_a_jetsons_fingerprint_names_board_power_mode_and_versions() -> None:
    found = fingerprint_of_facts(JETSON_FACTS, resolve_target("jetson"), "jetson")
    assert found.cpu == "NVIDIA Jetson Orin Nano Developer Kit, Orin (compute capability 8.7)"
    assert found.governor == "schedutil, power mode 15W"
    assert found.operating_system == "Linux aarch64, Jetson Linux 36.4.3, CUDA driver 12.6"


@pytest.mark.parametrize("told", [None, {}, JETSON_FACTS | {"cores": "many"}, JETSON_FACTS | {"cpuinfo": 3}])
def test_what_is_no_fact_sheet_is_refused(told: Any) -> None:
    with pytest.raises(DeviceError, match="does not say what it is"):
        fingerprint_of_facts(told, resolve_target("jetson"), "jetson")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"throttle_events": 3}, "throttled"),
        ({"temperature_c": 91.5}, "92 °C"),
        ({"gpu_hz": 306_000_000}, "306 of 625 MHz"),
    ],
)
def test_throttling_heat_and_low_clocks_are_flagged_once(change: dict[str, float], words: str) -> None:
    told: list[str] = []
    watch = StateWatch("jetson", told.append)
    watch.see(COOL)
    assert watch.warnings == ()
    for _ in range(2):
        watch.see(COOL | change)
    assert len(told) == 1
    assert words in told[0]
    assert watch.warnings == tuple(told)


def test_a_changed_power_mode_stops_the_profile() -> None:
    watch = StateWatch("jetson", print)
    watch.see(COOL)
    with pytest.raises(DeviceError, match=r"power mode of jetson was changed.*--resume"):
        watch.see(COOL | {"power_mode_file": "pmode:0001"})
