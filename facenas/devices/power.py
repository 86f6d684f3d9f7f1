"""What a board's times depend on besides its parts: power mode (nvpmodel) and whether clocks are fixed (jetson_clocks)."""

import re
from collections.abc import Mapping
from typing import Any


def power_words(facts: Mapping[str, Any]) -> str:
    """Both as they stand in a fingerprint, from what `facenas.on_device.device_facts.facts` told: `, power mode 15W, clocks
    fixed`; empty where neither is told."""
    mode = power_mode_name(str(facts.get("power_mode", "")), str(facts.get("power_mode_file", "")))
    told = facts.get("clocks_fixed")
    clocks = "" if told is None else f", clocks {'' if told else 'not '}fixed"
    return f"{f', power mode {mode}' if mode else ''}{clocks}"


def power_mode_name(said: str, status: str = "") -> str:
    """The name in the output of `nvpmodel -q`, for example 15W or MAXN; else the number in its status file (`pmode:0002`);
    "" where neither holds one."""
    if found := re.search(r"NV Power Mode:\s*(\S+)", said):
        return found[1]
    found = re.search(r"pmode:(\d+)", status)
    return f"number {int(found[1])}" if found else ""
