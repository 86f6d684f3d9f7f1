"""What a device says of itself when one small network is built, timed and read by layers there: what to send us if it fails.

Names and addresses stay out: the host, its user and home folders are struck from all that is told.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

from facenas.architecture import parse_architecture
from facenas.devices.host import Transport
from facenas.devices.target import Target
from facenas.errors import DeviceError, FacenasError
from facenas.graph import build_graph
from facenas.on_device.frames import VERSION
from facenas.remote.agent_session import Session
from facenas.runtimes.runtime import runtime_of
from facenas.units import Size
from facenas.version import __version__

_RUNS, _TIMEOUT_S, _BUILD_TIMEOUT_S = 20, 120.0, 1800.0
_SIZE = Size(320, 256)
_ARCHITECTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,32,2,1)SuperConvK3BNRELU(32,48,2,1)"
    "SuperResK3K3(48,64,2,32,1)SuperResK3K3(64,96,2,48,1)PAFPN(16)HeadDW(48,1)"
)
_KEPT_OF_CPUINFO = ("model name", "vendor_id", "CPU implementer", "CPU part", "CPU variant", "flags", "Features")


def check_up(target: Target, transport: Transport, python: str) -> dict[str, Any]:
    """Versions, import errors, clocks, memory, and of the small network the seconds of two builds, its runs and layers.

    `failed` says in words what went wrong, None where all went well.
    """
    told: dict[str, Any] = {"facenas": __version__, "runtime": target.runtime, "precision": target.precision}
    told["failed"] = None
    try:
        session = Session(transport, python)
        try:
            _ask(session, target, told)
        finally:
            session.close()
    except FacenasError as error:
        told["failed"] = str(error)
    cleaned: dict[str, Any] = _without_names(told, transport)
    return cleaned


def _ask(session: Session, target: Target, told: dict[str, Any]) -> None:
    hello = {"operation": "hello", "version": VERSION, "runtime": target.runtime, "precision": target.precision}
    reply, _ = session.request(hello | {"threads": target.threads}, b"", _TIMEOUT_S)
    told["device"], told["state"] = reply.get("facts"), reply.get("state")
    if isinstance(told["device"], dict) and isinstance(cpuinfo := told["device"].get("cpuinfo"), dict):
        told["device"]["cpuinfo"] = {key: cpuinfo[key] for key in _KEPT_OF_CPUINFO if key in cpuinfo}
    _require(reply)
    key, model = _model(target, str(reply["facts"]["runtime_version"]))
    seconds: list[float] = []
    for _ in range(2):  # the second finds what the first has timed
        start = time.monotonic()
        reply, _ = session.request({"operation": "compile", "model": key}, model, _BUILD_TIMEOUT_S)
        seconds.append(round(time.monotonic() - start, 2))
        _require(reply)
    told["compile_seconds"] = seconds
    reply, _ = session.request({"operation": "time", "model": key, "runs": _RUNS}, b"", _TIMEOUT_S)
    told["time"] = reply
    _require(reply)
    if not runtime_of(target).tells_layers:
        return
    reply, nodes = session.request({"operation": "layers", "model": key, "runs": 2, "graph": True}, b"", _TIMEOUT_S)
    told["layers"] = reply
    if runtime_of(target).on_gpu and nodes:
        told["nodes_of_layers"] = json.loads(nodes)
    _require(reply)


def _model(target: Target, version: str) -> tuple[str, bytes]:
    """The small network in the target's precision, and its key."""
    import hashlib

    from facenas.exporters.onnx_graph import build_onnx, random_weights

    elsewhere = runtime_of(target).elsewhere
    assert elsewhere is not None
    graph = build_graph(parse_architecture(_ARCHITECTURE), _SIZE)
    content = elsewhere.stand_in(build_onnx(graph, random_weights(graph)), target.precision, version)
    return hashlib.sha256(content).hexdigest(), content


def _require(reply: dict[str, Any]) -> None:
    if reply.get("error") is not None:
        raise DeviceError(f"{reply['error']}: {reply.get('text', '')}")


def _without_names(value: Any, transport: Transport) -> Any:
    """The same, in all its texts no host, user or home folder."""
    address = re.sub(r"^ssh://", "", transport.host)
    user, at, host = address.rpartition("@")
    names = {transport.host, address, host.partition(":")[0], Path.home().name, *([user] if at else [])}
    pattern = "|".join(re.escape(name) for name in sorted(names - {"local", "adb", "root", ""}, key=len, reverse=True))

    def clean(value: Any) -> Any:
        match value:
            case dict():
                return {key: clean(entry) for key, entry in value.items()}
            case list() | tuple():
                return [clean(entry) for entry in value]
            case str():
                text = re.sub(r"/home/[^/\s'\"]+", "/home/...", value)
                return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", "...", text) if pattern else text
            case _:
                return value

    return clean(value)
