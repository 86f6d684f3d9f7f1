from pathlib import Path
from typing import Any

import pytest

from facenas.devices.targets import resolve_target
from facenas.errors import DeviceError
from facenas.on_device.device_facts import clocks_fixed, facts, state
from facenas.on_device.nvml import gpu_state
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
        ({"temperature_c": 96.5}, "96 °C"),
        ({"gpu_hz": 306_000_000}, "306 of 625 MHz"),
        # Heat lowers the limit and the clock with it.
        ({"gpu_hz": 306_000_000, "gpu_max_hz": 306_000_000}, "only 306 of 625 MHz"),
        ({"throttle_reasons": ["heat"]}, "slowed its GPU down (heat)"),
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


def test_the_fan_of_an_orin_is_nothing_to_warn_of() -> None:
    watch = StateWatch("jetson", print)
    watch.see(COOL)
    watch.see(COOL | {"temperature_c": 86.0})
    assert watch.warnings == ()


def test_fixed_clocks_and_the_power_mode_are_in_the_fingerprint_without_root() -> None:
    told = JETSON_FACTS | {"power_mode": "", "power_mode_file": "pmode:0002 fmode:fanNull", "clocks_fixed": True}
    found = fingerprint_of_facts(told, resolve_target("jetson"), "jetson")
    assert found.governor == "schedutil, power mode number 2, clocks fixed"
    loose = fingerprint_of_facts(told | {"clocks_fixed": False}, resolve_target("jetson"), "jetson")
    assert loose.governor == "schedutil, power mode number 2, clocks not fixed"


@pytest.mark.parametrize("gpu", ["17000000.gpu", "17000000.ga10b", "gpu-gpc-0"])
def test_a_boards_clocks_are_found(tmp_path: Path, gpu: str) -> None:
    """JetPack 6 and 7 on an Orin, JetPack 5 there, a Thor."""
    clocks = tmp_path / "class/devfreq" / gpu
    core = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    for folder in (clocks, core):
        folder.mkdir(parents=True)
    for name in ("cur_freq", "min_freq", "max_freq"):
        (clocks / name).write_text("624750000\n")
    for name in ("scaling_min_freq", "scaling_max_freq"):
        (core / name).write_text("1510400\n")
    assert (state(tmp_path)["gpu_hz"], state(tmp_path)["gpu_max_hz"]) == (624_750_000, 624_750_000)
    assert clocks_fixed(tmp_path) is True
    (clocks / "min_freq").write_text("306000000\n")
    assert clocks_fixed(tmp_path) is False
    assert clocks_fixed(tmp_path / "no GPU") is None


class Nvml:
    """The calls of NVIDIA's management library, of a GPU that is too hot."""

    def __init__(self, name: str) -> None:
        assert name == "libnvidia-ml.so.1"

    def __getattr__(self, name: str) -> Any:
        told = {
            "nvmlDeviceGetClockInfo": 900,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetTemperature": 88,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1 | 0x20 | 0x4,
        }

        def call(*arguments: Any) -> int:
            if name in told:
                arguments[-1]._obj.value = told[name]
            return 0

        return call


def test_a_gpu_on_a_card_tells_why_it_is_slowed_down() -> None:
    told = gpu_state(Nvml)
    assert told["throttle_reasons"] == ["power limit", "heat"]
    assert (told["gpu_hz"], told["gpu_max_hz"], told["temperature_c"]) == (900_000_000, 1_980_000_000, 88)


def test_a_changed_power_mode_stops_the_profile() -> None:
    watch = StateWatch("jetson", print)
    watch.see(COOL)
    with pytest.raises(DeviceError, match=r"power mode of jetson was changed.*--resume"):
        watch.see(COOL | {"power_mode_file": "pmode:0001"})
