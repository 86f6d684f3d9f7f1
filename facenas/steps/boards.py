"""A board elsewhere, as an export must know it: the version of its TensorRT, the engine that is built on it, or, where it does
not answer, what is typed there to build one."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from facenas.devices.host import transport_for
from facenas.devices.own_devices import add_command, load_devices
from facenas.devices.target import Target
from facenas.errors import AgentError, DeviceError, InputError, TableError
from facenas.exporters.artefact import Artefact
from facenas.exporters.tensorrt import int8_dialect, trtexec_line, write_engine
from facenas.latency.table import find_table
from facenas.progress import Progress
from facenas.remote.remote_agent import RemoteAgent
from facenas.remote.remote_model import kept_agent, stamp_of
from facenas.units import Size


@dataclass(frozen=True)
class Board:
    """`version`: of the TensorRT there, "" where nobody can say; `how`: where it is known from; `answers`: it can build."""

    name: str
    version: str
    how: str
    answers: bool = False

    @property
    def dialect(self) -> str:
        """The dialect of int8 graphs for it."""
        return int8_dialect(self.version)

    def what_to_type(self, path: Path, precision: str) -> str:
        """How the ONNX file at `path` becomes an engine there."""
        engine = path.with_suffix(".engine").name
        copy = f"an engine is built on {self.name} itself; copy {path} there and type"
        if self.version:
            line = trtexec_line(path.name, engine, precision, self.version)
            return f"{copy} (TensorRT {self.version}, {self.how}): {line}"
        lines = [
            f"TensorRT {major}: {trtexec_line(path.name, engine, precision, major)}" for major in ("8", "10", "11")
        ]
        return f"{copy}, by its version, " + "; ".join(lines)


def board_of(target: Target, input_size: Size, progress: Progress) -> Board:
    """What is known of a target's board: as it answers, else as its table says, else nothing for one that is modelled.

    Raises InputError where a board was neither named nor measured.
    """
    kept = load_devices().get(target.name)
    if kept is not None:
        try:
            with RemoteAgent(target, transport_for(kept.host), python=kept.python) as agent:
                return Board(target.name, agent.fingerprint.runtime_version, "as it answers", answers=True)
        except DeviceError as error:
            progress.note(f"{error}; going by its latency table")
    if not target.elsewhere:
        return Board(target.name, "", "modelled")
    try:
        version = find_table(target, input_size).fingerprint.runtime_version
    except TableError as error:
        raise InputError(
            f"which TensorRT '{target}' has is not known; say where it is: {add_command(target)}"
        ) from error
    return Board(target.name, version, "as its latency table says")


def build_there(target: Target, model: onnx.ModelProto, out: Path, progress: Progress) -> Artefact:
    """Have the board build the engine of a described ONNX model in its precision, and write it. Raises DeviceError,
    InputError where its TensorRT does not take the model."""
    content = model.SerializeToString()
    progress.note(f"{target} builds the engine, which takes minutes the first time")
    try:
        with kept_agent(target, progress) as agent:
            return write_engine(agent.build(content), model, out, target.name, stamp_of(agent.facts, content))
    except AgentError as error:
        raise InputError(f"{target} builds no engine of this model: {error}") from error
