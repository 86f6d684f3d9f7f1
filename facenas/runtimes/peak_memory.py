"""How much memory a file takes while it is loaded and run: measured in a process of its own.

The system counts the most memory that a process ever held; how much more that is than before the file was loaded is the
file's: its weights, the runtime's copies of them, and the feature maps.
"""

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np

from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.exporters.formats import description_of
from facenas.on_device.device_facts import forget_peak, peak_bytes, resident_bytes
from facenas.runtimes.runtime import load_model, runtime_of

_RUNS, _TIMEOUT_S = 3, 120.0


def peak_memory_bytes(artefact: Path, target: Target) -> int | None:
    """Bytes, None where nobody tells: a GPU's memory is its own, an estimate runs nothing, and only Linux counts."""
    if runtime_of(target).on_gpu or runtime_of(target).estimates or not resident_bytes():
        return None
    command = [sys.executable, "-P", "-m", "facenas.runtimes.peak_memory", str(artefact), target.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else None


def main(artefact: Path, target: Target) -> None:
    """Load and run the file; the bytes that it took go to standard output."""
    size = description_of(artefact).input_size
    image = np.zeros((1, 3, size.height_px, size.width_px), np.float32)
    load_model(artefact, target).run(image)  # the runtime's own libraries are loaded now, and what they keep
    gc.collect()
    forget_peak()
    before = resident_bytes()
    model = load_model(artefact, target)
    for _ in range(_RUNS):
        model.run(image)
    print(max(0, peak_bytes() - before))


if __name__ == "__main__":
    main(Path(sys.argv[1]), resolve_target(sys.argv[2]))
