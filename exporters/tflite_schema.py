"""The schema of TensorFlow Lite files, from an optional package: one place that says what to install."""

from facenas.errors import MissingPackageError

try:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
except ImportError as error:
    raise MissingPackageError(
        f"TensorFlow Lite files need the package '{error.name}'; install it with: pip install 'facenas[npu]'"
    ) from error

__all__ = ["flatbuffers", "schema"]
