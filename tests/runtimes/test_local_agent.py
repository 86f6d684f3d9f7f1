import signal

import numpy as np
import pytest

from facenas.architecture import parse_architecture
from facenas.devices.targets import resolve_target
from facenas.errors import AgentError
from facenas.graph import build_graph
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.local_agent_process import MOST_RUNS, VISIT_NS
from facenas.units import Size

SIZE = Size(64, 64)
DETECTOR = parse_architecture(
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,16,2,1)SuperConvK3BNRELU(16,16,2,1)"
    "SuperConvK3BNRELU(16,16,2,1)SuperConvK3BNRELU(16,16,2,1)PAFPN(16)HeadDW(16,1)"
)


def test_an_agent_measures_end_to_end_and_by_layer_and_survives_a_crash() -> None:
    with LocalAgent(resolve_target("cpu")) as agent:
        sample = agent.measure(DETECTOR, SIZE, runs=2, layers=True)
        assert len(agent.measure(DETECTOR, SIZE, runs=2, layers=False).end_to_end_ns) == 2
        assert set(sample.layers_ns) == {layer.name for layer in build_graph(DETECTOR, SIZE).layers}
        assert agent._process is not None
        agent._process.send_signal(signal.SIGSEGV)
        with pytest.raises(AgentError, match="crashed with signal SIGSEGV"):
            agent.measure(DETECTOR, SIZE, runs=2, layers=True)
        assert agent.measure(DETECTOR, SIZE, runs=1, layers=False).layers_ns == {}


def test_a_later_visit_to_a_fast_network_takes_more_runs() -> None:
    with LocalAgent(resolve_target("cpu")) as agent:
        first, second = (agent.measure(DETECTOR, SIZE, runs=2, layers=False).end_to_end_ns for _ in range(2))
    assert len(first) == 2
    assert len(second) == max(2, min(MOST_RUNS, int(VISIT_NS / np.mean(first))))


def test_a_network_that_takes_too_long_is_given_up() -> None:
    with (
        LocalAgent(resolve_target("cpu"), timeout_s=0.01) as agent,
        pytest.raises(AgentError, match=r"more than 0\.01 s"),
    ):
        agent.measure(DETECTOR, SIZE, runs=1, layers=False)


def test_an_agent_needs_neither_torch_nor_a_compiler_of_another_runtime() -> None:
    import subprocess
    import sys

    code = "import facenas.runtimes.local_agent, facenas.latency.profiler, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
