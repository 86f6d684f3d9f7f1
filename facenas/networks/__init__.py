"""The graph in torch: what trains, cuts slices of supernets, or answers as the reference. All else does without torch."""

from importlib.util import find_spec

from facenas.errors import MissingPackageError

if find_spec("torch") is None:
    raise MissingPackageError(
        "networks are trained, cut out of supernets and compared with their checkpoints by PyTorch, which is not installed: "
        "pip install 'facenas[train]'"
    )
