"""Options whose value is a name: devices are taken in small or capital letters, and a shell completes what there is."""

from collections.abc import Sequence
from typing import Any


def _small(given: Any) -> Any:
    """A device's name, or several, in small letters, as all are."""
    if isinstance(given, str):
        return given.lower()
    return [each.lower() for each in given] if given else given


def _starting(incomplete: str, known: Sequence[str]) -> list[str]:
    return [name for name in known if name.startswith(incomplete)]


def _devices(incomplete: str) -> list[str]:
    from facenas.devices.own_devices import load_devices
    from facenas.devices.target import TARGET_NAMES
    from facenas.errors import InputError

    try:
        return _starting(incomplete.lower(), list(dict.fromkeys((*TARGET_NAMES, *load_devices()))))
    except InputError:  # a damaged list of own devices is told of by the command, not by the shell
        return _starting(incomplete.lower(), TARGET_NAMES)


def _models(incomplete: str) -> list[str]:
    from facenas.zoo import ZOO_NAMES

    return _starting(incomplete, ZOO_NAMES)


def _supernets(incomplete: str) -> list[str]:
    from facenas.zoo import SUPERNET_NAMES

    return _starting(incomplete, SUPERNET_NAMES)


def _architectures(incomplete: str) -> list[str]:
    from facenas.architecture import PUBLISHED_NAMES

    return [*_starting(incomplete, PUBLISHED_NAMES), *_models(incomplete)]


def _formats(incomplete: str) -> list[str]:
    from facenas.exporters.formats import FORMATS

    return _starting(incomplete, list(FORMATS))


def _spaces(incomplete: str) -> list[str]:
    from facenas.spaces.named import SPACE_NAMES

    return _starting(incomplete, SPACE_NAMES)


DEVICE: dict[str, Any] = {"callback": _small, "autocompletion": _devices}
"""For options that name devices; MODEL: models and checkpoints, which are files, folders or names of the zoo."""
MODEL: dict[str, Any] = {"autocompletion": _models}
SUPERNET: dict[str, Any] = {"autocompletion": _supernets}
ARCHITECTURE: dict[str, Any] = {"autocompletion": _architectures}
FORMAT: dict[str, Any] = {"autocompletion": _formats}
SPACE: dict[str, Any] = {"autocompletion": _spaces}
