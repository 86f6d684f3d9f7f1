import pytest

from facenas.devices.cpu import BFLOAT16_FLAGS, why_no_bfloat16


@pytest.mark.parametrize("flag", sorted(BFLOAT16_FLAGS))
def test_a_cpu_computes_in_bfloat16_where_it_can_and_onednn_may(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert why_no_bfloat16(frozenset({flag})) is None
    assert "neither avx512_bf16 nor amx_bf16" in str(why_no_bfloat16(frozenset({"avx512f"})))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert why_no_bfloat16(frozenset({flag})) is None
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert "ONEDNN_MAX_CPU_ISA=AVX2" in str(why_no_bfloat16(frozenset({flag})))
