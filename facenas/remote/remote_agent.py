"""RemoteAgent: measure networks on a device elsewhere, with the interface of `facenas.runtimes.local_agent.Agent`, and run
exported files there (`facenas.remote.remote_model`).

What came before the connection was lost is never asked for again, and what was lost is asked for anew: a visit counts
once, when its reply is whole. The times that a device reports are believed only within what passed on this machine's
clock meanwhile. Power mode, clock, temperature and throttling of a Jetson are watched.
"""

import hashlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

from facenas.architecture import Architecture
from facenas.devices.fingerprint import Fingerprint, differences
from facenas.devices.host import Transport
from facenas.devices.own_devices import PRECISIONS
from facenas.devices.target import Target
from facenas.errors import (
    AgentEndedError,
    AgentError,
    ConnectionLostError,
    DeviceError,
    DeviceTimeoutError,
    InputError,
    PassingFaultError,
)
from facenas.graph import Graph, build_graph
from facenas.on_device.frames import VERSION, Message
from facenas.remote.agent_session import PATIENCE_S, Session, words_for_exit
from facenas.remote.device_state import StateWatch, fingerprint_of_facts
from facenas.remote.kept_timings import keep_timings, load_timings
from facenas.runtimes.compiled_model import LayerTimes
from facenas.runtimes.local_agent import TIMEOUT_S, Measurement
from facenas.runtimes.runtime import runtime_of
from facenas.runtimes.tensorrt_layers import Works, work_of
from facenas.units import Size

# A minute in all: a board that restarts is back by then.
RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
BUILD_TIMEOUT_S = 1800.0
"""For compiling a network: the first ones on a small board take TensorRT minutes. Each further try begins where the last one
ended, because the timings are kept."""

_BUILD_TRIES = 3
_AGENT_EXITS = (3, 4)  # it was sent a damaged frame, or its host was gone
_MEASURED_IS_KEPT = "what was measured is kept: when {host} is back, go on with --resume"
_TRY_AGAIN = "when {host} is back, try it again"
T = TypeVar("T")


@dataclass(frozen=True)
class _Network:
    """A network as the device knows it: `key` is the SHA-256 of its ONNX model; its layers with their work."""

    key: str
    graph: Graph
    works: Works


@dataclass(frozen=True)
class FileThere:
    """An exported file as the device is given it: `form` onnx, openvino (.xml, from byte `weights_at` on .bin) or trt,
    timed with an image of `shape`."""

    content: bytes
    form: str
    shape: tuple[int, int, int, int]
    weights_at: int = 0

    @cached_property
    def key(self) -> str:
        """Its SHA-256, which goes with each image."""
        return hashlib.sha256(self.content).hexdigest()


class RemoteAgent:
    """An agent on a device, copied there when first asked, removed at the end. Use it in a `with` block.

    `python` is the interpreter there; `note` is told what the user should know; `as_graph`: whether the networks that it
    timed ran as CUDA graphs, None where there is no such thing; `facts`: what the device told of itself; `peak_bytes`: by
    key, what memory a file took there. Every method raises DeviceError where the device cannot be reached (again) or
    used; its message says why, and what to do. Raises InputError for a target that no agent measures.
    """

    def __init__(
        self,
        target: Target,
        transport: Transport,
        *,
        python: str = "python3",
        timeout_s: float = TIMEOUT_S,
        build_timeout_s: float = BUILD_TIMEOUT_S,
        retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
        patience_s: float = PATIENCE_S,
        note: Callable[[str], None] | None = None,
    ) -> None:
        elsewhere = runtime_of(target).elsewhere
        if elsewhere is None or target.precision not in PRECISIONS[target.runtime]:
            raise InputError(f"device '{target}' cannot be profiled through a host; profile it where it is")
        self._elsewhere = elsewhere
        self.target, self._transport, self._python = target, transport, python
        self._timeout_s, self._retry_delays_s, self._patience_s = timeout_s, retry_delays_s, patience_s
        self._build_timeout_s = build_timeout_s
        self._note = note or (lambda text: None)
        self._session: Session | None = None
        self._leftovers: tuple[str, ...] = ()
        self._timing_cache = load_timings(target, transport.host)
        self.as_graph: bool | None = None
        self.facts: dict[str, Any] = {}
        self.peak_bytes: dict[str, Any] = {}
        self._fingerprint: Fingerprint | None = None
        self._networks: dict[tuple[Architecture, Size], _Network] = {}
        self._layers_of_nodes: dict[str, Mapping[str, str]] = {}
        self._watch = StateWatch(transport.host, self._note)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        keep_timings(self.target, self._transport.host, self._timing_cache)
        if session is not None:
            session.close()
            if session.leftover:
                self._note(f"{self._transport} is gone; delete {session.leftover} there if it is still there")

    @property
    def fingerprint(self) -> Fingerprint:
        """What the device is; connects to it."""
        if self._fingerprint is None:
            self.connect()
        assert self._fingerprint is not None
        return self._fingerprint

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed on the device that makes its times doubtful: throttling, low clocks."""
        return self._watch.warnings

    def measure(self, detector: Architecture, input_size: Size, *, runs: int, layers: bool) -> Measurement:
        """One visit. Raises AgentError where the runtime refuses the network, crashes on it or hangs, PassingFaultError
        where memory ended or a build lasted too long."""
        return self._insist(lambda session: self._visit(session, detector, input_size, runs, layers), _MEASURED_IS_KEPT)

    def ask(self, file: FileThere, message: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes, int]:
        """The reply of an exported file to `run` or `time`, and what passed here meanwhile, in nanoseconds; it is loaded
        there first where it is not. Raises like `measure`."""
        message = {**message, "model": file.key}

        def work(session: Session) -> tuple[dict[str, Any], bytes, int]:
            answer = self._timed_request(session, message, data)
            if answer[0].get("error") == "unknown-model":
                load = {"operation": "load", "model": file.key, "form": file.form, "shape": list(file.shape)}
                reply, _ = session.request(load | {"weights_at": file.weights_at}, file.content, self._build_timeout_s)
                self._check(reply)
                self.peak_bytes[file.key] = reply.get("peak_bytes")
                answer = self._timed_request(session, message, data)
            self._check(answer[0])
            return answer

        return self._insist(work, _TRY_AGAIN)

    def build(self, model: bytes) -> bytes:
        """The engine that the device's runtime builds of an ONNX model. Raises like `measure`."""
        message = {"operation": "build", "model": hashlib.sha256(model).hexdigest()}
        reply, data = self._insist(lambda session: self._built(session, message, model)[1:], _TRY_AGAIN)
        count = reply.get("plan_bytes")
        if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= len(data):
            raise DeviceError(f"{self._transport} answered with what is no engine; build it again")
        self._timing_cache = data[count:] or self._timing_cache
        return data[:count]

    def check_state(self, state: Any) -> None:
        """Warn of heat, low clocks and the like; raises DeviceError where the device is in another power mode."""
        self._watch.see(state)

    def check_times(self, times_ns: Any, runs: int, elapsed_ns: int) -> tuple[int, ...]:
        """The times, where they can be. Raises DeviceError."""
        return self._watch.check_times(times_ns, runs, elapsed_ns)

    def _insist(self, work: Callable[[Session], T], cure: str) -> T:
        """What `work` gives, done anew over a new connection where one was lost. Raises like `measure`."""
        losses: list[ConnectionLostError] = []
        while True:
            try:
                return work(self._session or self.connect())
            except AgentEndedError as error:
                self._disconnect()
                if error.code not in _AGENT_EXITS:
                    ended = f"{words_for_exit(error.code, self._timeout_s)}{f' ({error})' if str(error) else ''}"
                    raise AgentError(f"the runtime {self.target.runtime} on {self._transport} {ended}") from error
                losses.append(ConnectionLostError(f"the connection to {self._transport} was damaged"))
            except ConnectionLostError as error:
                self._disconnect()
                losses.append(error)
            if self._fingerprint is None:  # it was never reached
                raise losses[-1]
            # A second hang in a row is no accident, and each takes minutes.
            if len(losses) > len(self._retry_delays_s) or _hangs(losses):
                raise DeviceError(
                    f"{losses[-1]}, and {len(losses) - 1} attempts to go on failed; {cure.format(host=self._transport)}"
                )
            self._note(f"{losses[-1]}; connecting again")
            time.sleep(self._retry_delays_s[len(losses) - 1])

    def _visit(
        self, session: Session, detector: Architecture, input_size: Size, runs: int, layers: bool
    ) -> Measurement:
        network = self._network(detector, input_size)
        graph_wanted = layers and network.key not in self._layers_of_nodes
        message = {"operation": "layers" if layers else "time", "model": network.key, "runs": runs}
        message |= {"graph": graph_wanted} if layers else {}
        reply, data, elapsed_ns = self._timed_request(session, message)
        if reply.get("error") == "unknown-model":
            message_of_model = {"operation": "compile", "model": network.key}
            session, _, cache = self._built(session, message_of_model, self._onnx(network.graph))
            self._timing_cache = cache or self._timing_cache
            reply, data, elapsed_ns = self._timed_request(session, message)
        self._check(reply)
        try:
            if layers:
                times = self._layer_times(network, reply, data, runs)
                self._watch.check_layers(times, runs, elapsed_ns)
                rows = {name: times.times_ns[:, index].tolist() for index, name in enumerate(times.names)}
                sample = Measurement((), rows, tuple(times.overhead_ns.tolist()))
            else:
                sample = Measurement(self._watch.check_times(reply["times_ns"], runs, elapsed_ns), {}, ())
                as_graph = reply.get("as_graph")
                self.as_graph = None if as_graph is None else bool(as_graph) and self.as_graph is not False
            self._watch.see(reply["state"])
        except InputError as error:  # a runtime that tells no times of layers
            raise AgentError(f"{self._transport}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise DeviceError(
                f"{self._transport} answered with what is no measurement ({error!r}); profile again"
            ) from error
        return sample

    def _built(self, session: Session, message: dict[str, Any], model: bytes) -> tuple[Session, dict[str, Any], bytes]:
        """The reply to `compile` or `build`; by another session where it took too long, which goes on with the timings."""
        for _ in range(_BUILD_TRIES):
            try:
                reply, data = session.request(message, model, self._build_timeout_s)
            except AgentEndedError as error:
                if error.code != 128 + signal.SIGALRM:
                    raise
                self._disconnect()
                break
            if reply.get("error") != "slow":
                self._check(reply)
                return session, reply, data
            learnt = data and data != self._timing_cache
            self._timing_cache = data or self._timing_cache
            self._disconnect()
            keep_timings(self.target, self._transport.host, self._timing_cache)
            if not learnt:
                break
            self._note(f"{self._transport}: {reply['text']}; its timings are kept, and it goes on with them")
            session = self.connect()
        raise PassingFaultError(
            f"compiling took more than {self._build_timeout_s:g} s on {self._transport}; what was timed is kept: go on "
            "with --resume when nothing else runs there"
        )

    def _network(self, detector: Architecture, input_size: Size) -> _Network:
        found = self._networks.get((detector, input_size))
        if found is None:
            graph = build_graph(detector, input_size)
            works = {layer.name: work_of(layer.operator) for layer in graph.layers}
            found = _Network(hashlib.sha256(self._onnx(graph)).hexdigest(), graph, works)
            self._networks[detector, input_size] = found
        return found

    def _onnx(self, graph: Graph) -> bytes:
        """The network with random weights, as the target's runtime is sent it."""
        from facenas.exporters.onnx_graph import build_onnx, random_weights

        version = self.fingerprint.runtime_version
        return self._elsewhere.stand_in(build_onnx(graph, random_weights(graph)), self.target.precision, version)

    def _layer_times(self, network: _Network, reply: dict[str, Any], data: bytes, runs: int) -> LayerTimes:
        """The runtime's rows as layers of the graph, by the code that reads a local runtime's."""
        if data:
            self._layers_of_nodes[network.key] = self._elsewhere.layers_of_nodes(data, tuple(network.works))
        if self._elsewhere.layer_times is None:
            raise InputError(f"{self.target.runtime} tells no times of layers; it is timed by whole networks")
        return self._elsewhere.layer_times(reply, network.works, self._layers_of_nodes.get(network.key, {}), runs)

    def connect(self) -> Session:
        """Copy the agent there, start it, and hear what the device is."""
        session = Session(self._transport, self._python, self._leftovers, self._patience_s)
        self._session, self._leftovers = session, ()
        target = self.target
        hello = {"operation": "hello", "version": VERSION, "runtime": target.runtime, "precision": target.precision}
        reply, _ = self._request(session, hello | {"threads": target.threads}, self._timing_cache)
        told = reply.get("facts")
        fingerprint = fingerprint_of_facts(told, target, self._transport.host)
        self.facts = dict(told) if isinstance(told, dict) else {}
        if self._fingerprint is not None and (found := differences(self._fingerprint, fingerprint)):
            raise DeviceError(
                f"{self._transport} is not what it was before the connection was lost ({'; '.join(found)}); set it back, "
                "then go on with --resume"
            )
        self._fingerprint = fingerprint
        self._watch.see(reply.get("state"))
        return session

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.end()
            if session.leftover:
                self._leftovers = (*self._leftovers, session.leftover)

    def _timed_request(
        self, session: Session, message: dict[str, Any], data: bytes = b""
    ) -> tuple[dict[str, Any], bytes, int]:
        start = time.monotonic_ns()
        reply, answer = session.request(message, data, self._timeout_s)
        return reply, answer, time.monotonic_ns() - start

    def _request(self, session: Session, message: dict[str, Any], data: bytes) -> Message:
        reply, answer = session.request(message, data, self._timeout_s)
        self._check(reply)
        return reply, answer

    def _check(self, reply: dict[str, Any]) -> None:
        """Raises what a reply of error means."""
        kind, text = reply.get("error"), str(reply.get("text", ""))[:400]
        host = self._transport
        match kind:
            case None:
                return
            case "model":
                raise AgentError(f"{self.target.runtime} on {host}: {text}")
            case "memory":
                raise PassingFaultError(f"{host} is out of memory ({text}); end what else runs there")
            case "crash":
                raise DeviceError(
                    f"the agent on {host} failed ({text}); tell us: facenas doctor --device {self.target}"
                )
            case "frame":
                raise ConnectionLostError(f"the connection to {host} was damaged ({text})")
            case "disk":
                raise DeviceError(f"the disk of {host} cannot be written ({text}); free it, then go on with --resume")
            case _:
                raise DeviceError(f"{host}: {text}")


def _hangs(losses: list[ConnectionLostError]) -> bool:
    return len(losses) > 1 and all(isinstance(loss, DeviceTimeoutError) for loss in losses[-2:])
