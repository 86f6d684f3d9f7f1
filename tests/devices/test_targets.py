import pytest

from facenas.devices.target import TARGET_NAMES
from facenas.devices.targets import resolve_target
from facenas.errors import InputError


def test_every_name_resolves_to_itself_with_one_thread() -> None:
    for name in TARGET_NAMES:
        target = resolve_target(name)
        assert (str(target), target.threads) == (name, 1)


def test_a_suffix_asks_for_threads() -> None:
    target = resolve_target("cpu-openvino-int8-4threads")
    assert (target.name, target.precision, target.threads) == ("cpu-openvino-int8-4threads", "int8", 4)


@pytest.mark.parametrize("name", ["", "gpu", "cpu-0threads", "cpu-threads", "cpu-fp64"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(InputError, match="cpu-openvino-bf16"):
        resolve_target(name)
