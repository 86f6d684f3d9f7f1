"""Export: one file a format, each a function from a described fp32 ONNX model to an Artefact.

Each format's module has

    export_<format>(model, out, *, ...) -> Artefact     writes the file, and its description in it or beside it

and some have, too,

    why_not_<format>(model) -> str | None               why a model cannot be converted, in words
    read_description(...) -> Description                what the file says of itself, where that takes more than `read_sidecar`

`facenas.exporters.formats` has a record of each format, which calls the first and the last.
"""
