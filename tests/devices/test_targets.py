import pytest

from facenas.devices import targets
from facenas.devices.target import TARGET_NAMES
from facenas.devices.targets import require_available, resolve_target, why_unavailable
from facenas.errors import InputError, MissingPackageError


def test_every_name_resolves_to_itself_with_one_thread() -> None:
    for name in TARGET_NAMES:
        target = resolve_target(name)
        assert (str(target), target.threads) == (name, 1)


def test_a_suffix_asks_for_threads() -> None:
    target = resolve_target("cpu-openvino-int8-4threads")
    assert (target.name, target.precision, target.threads) == ("cpu-openvino-int8-4threads", "int8", 4)


@pytest.mark.parametrize("name", ["", "gpu", "cpu-0threads", "cpu-threads", "CPU", "cpu-fp64"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(InputError, match="cpu-openvino-bf16"):
        resolve_target(name)


def test_why_a_target_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_unavailable(resolve_target("cpu")) is None
    assert "more than" in str(why_unavailable(resolve_target("cpu-999threads")))
    monkeypatch.setattr(targets, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert why_unavailable(resolve_target("cpu-openvino-bf16")) is None
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert "ONEDNN_MAX_CPU_ISA=AVX2" in str(why_unavailable(resolve_target("cpu-openvino-bf16")))
    monkeypatch.setattr(targets, "cpu_flags", frozenset)
    assert "bfloat16" in str(why_unavailable(resolve_target("cpu-openvino-bf16")))
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install onnxruntime"):
        require_available(resolve_target("cpu"))
