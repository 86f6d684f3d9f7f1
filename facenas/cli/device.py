"""`facenas device add` and `facenas device remove`: the user's own devices, which --device then names."""

from typing import Annotated

import typer


def add(
    name: Annotated[str, typer.Argument(help="name for --device, for example nano")],
    host: Annotated[str, typer.Option(help="where it is: user@host, ssh://user@host:port, adb, adb:SERIAL")],
    runtime: Annotated[str, typer.Option(help="onnxruntime, openvino, tensorrt, ai-edge-litert or ncnn")],
    precision: Annotated[
        str, typer.Option(help="fp32; OpenVINO also bf16, TensorRT fp16 and int8, ncnn fp16; LiteRT int8")
    ] = "fp32",
    threads: Annotated[int, typer.Option(help="threads of the runtime on the CPU")] = 1,
    python: Annotated[str, typer.Option(help="Python of the device")] = "python3",
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Keep a device, so that --device NAME means it; nothing is asked of it yet."""
    from facenas.cli.output import note, print_json
    from facenas.devices.own_devices import OwnDevice, add_device, devices_file

    add_device(OwnDevice(name, host, runtime, precision, threads, python))
    if json:
        print_json({"added": name, "file": str(devices_file())})
    else:
        note(f"{name} is kept in {devices_file()}; measure it: facenas profile --device {name}")


def remove(
    name: Annotated[str, typer.Argument(help="the device to forget")],
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Forget a device; its latency table stays."""
    from facenas.cli.output import note, print_json
    from facenas.devices.own_devices import devices_file, remove_device

    remove_device(name)
    if json:
        print_json({"removed": name, "file": str(devices_file())})
    else:
        note(f"{name} is no longer kept in {devices_file()}")
