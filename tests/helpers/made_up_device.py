"""A device elsewhere with made-up times: a `python` for `--host local` whose OpenVINO answers at once, or has accidents."""

from pathlib import Path

from helpers.far_devices import fake_device

_AGENT = """
import hashlib, signal
import onnx
from pathlib import Path
from facenas.on_device import device_agent, device_runtimes

FOLDER = Path({folder!r})


class MadeUp:
    graph_wanted, errors, version, pins = False, (RuntimeError,), "1.0", False

    def __init__(self, precision, threads): ...

    def compile(self, content):
        model = onnx.load_from_string(content)
        weights = {{tensor.name: len(tensor.raw_data) for tensor in model.graph.initializer}}
        rows = [[node.name, 2000 + weights.get(node.input[1], 0) // 50] for node in model.graph.node if len(node.input) > 1]
        return hashlib.sha256(content).hexdigest(), rows

    def memory_is_short(self):
        return False

    def timings_so_far(self):
        return None

    def visit(self, digest, kind):
        visits = FOLDER / "visits"
        visit = len(visits.read_text().splitlines()) if visits.exists() else 0
        exec((FOLDER / "accident.py").read_text())
        with visits.open("a") as file:
            file.write(f"{{os.getpid()}} {{digest}} {{kind}}\\n")

    def time(self, compiled, runs):
        digest, rows = compiled
        self.visit(digest, "time")
        return {{"times_ns": [sum(ns for _, ns in rows) + 10_000] * runs}}

    def layers(self, compiled, runs, want_graph):
        digest, rows = compiled
        self.visit(digest, "layers")
        return {{"before": rows, "after": rows, "warm_up": 2}}, b""


device_runtimes.RUNTIMES["openvino"] = (MadeUp, "")
device_agent.main()
"""


class MadeUpDevice:
    """`arguments`: what names it on the command line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.has_no_accident()
        python = fake_device(folder, _AGENT.format(folder=str(folder)))
        self.arguments = ("--device", "cpu-openvino", "--host", "local", "--python", python)

    def visits(self) -> list[tuple[str, ...]]:
        """Of each visit that was answered the process, the network and what was asked."""
        path = self._folder / "visits"
        return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []

    def has_no_accident(self) -> None:
        self.has_accident("")

    def has_accident(self, code: str) -> None:
        """`code` runs on the device before each answer; it knows the number of the `visit` and the network's `digest`."""
        (self._folder / "accident.py").write_text(code)
