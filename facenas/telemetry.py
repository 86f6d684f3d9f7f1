"""Libraries that report their use to their makers, and that they are not asked to: for processes that import facenas.

ONNX Runtime asks a host of its maker while photos are looked at; OpenVINO and NNCF ask an analytics host and write an identity
into the user's home folder when they are imported. `FACENAS_TELEMETRY=allow` in the environment leaves them as they are.
"""

import os
import sys

_ALLOWED = "FACENAS_TELEMETRY"


def switch_off() -> None:
    """To be called before any of them is imported; what is imported already stays as it is."""
    if os.environ.get(_ALLOWED) == "allow":
        return
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # OpenVINO and NNCF take a package that is absent for a no.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
