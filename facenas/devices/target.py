"""Target: hardware + runtime + precision + threads, and those that have a name.

A table that was made for one target says nothing about another.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`runtime`: the name of a record of `facenas.runtimes.runtime.RUNTIMES`; `precision`: fp32, fp16, bf16 or int8.

    One that is `elsewhere` is reached through a host (ssh, adb), and measured and run there.
    """

    name: str
    hardware: str
    runtime: str
    precision: str
    threads: int = 1
    elsewhere: bool = False

    def __str__(self) -> str:
        return self.name


GPU = "this machine's NVIDIA GPU"
JETSON = "jetson"
# Boards that are not here: their tables are modelled (facenas.latency.roofline), and nothing runs on them.
MODELLED_NAMES = frozenset({"jetson-orin-nano", "jetson-agx-orin"})

NAMED_TARGETS = (
    Target("cpu", "this machine's CPU", "onnxruntime", "fp32"),
    Target("cpu-int8", "this machine's CPU", "onnxruntime", "int8"),
    Target("cpu-openvino", "this machine's CPU", "openvino", "fp32"),
    Target("cpu-openvino-bf16", "this machine's CPU with AVX512-BF16 or AMX", "openvino", "bf16"),
    Target("cpu-openvino-int8", "this machine's CPU", "openvino", "int8"),
    Target("cpu-litert", "this machine's CPU", "ai-edge-litert", "int8"),
    Target("cpu-ncnn", "this machine's CPU", "ncnn", "fp32"),
    Target("cpu-ncnn-fp16", "this machine's CPU", "ncnn", "fp16"),
    Target("cpu-mnn", "this machine's CPU", "MNN", "fp32"),
    Target("cpu-mnn-fp16", "this machine's CPU", "MNN", "fp16"),
    Target("web", "this machine's CPU, in Chromium", "onnxruntime-web", "fp32"),
    Target("web-gpu", "this machine's GPU, in Chromium", "onnxruntime-webgpu", "fp32"),
    Target("npu", "Arm Ethos-U65-512, 1 GHz", "ethos-u-vela", "int8"),
    Target("npu-u55-256", "Arm Ethos-U55-256, 500 MHz", "ethos-u-vela", "int8"),
    Target("npu-u85-512", "Arm Ethos-U85-512, 1 GHz", "ethos-u-vela", "int8"),
    Target("cuda", GPU, "torch", "fp32"),
    Target("cuda-fp16", GPU, "torch", "fp16"),
    Target("cuda-tensorrt", GPU, "tensorrt", "fp32"),
    Target("cuda-tensorrt-fp16", GPU, "tensorrt", "fp16"),
    Target("cuda-tensorrt-int8", GPU, "tensorrt", "int8"),
    Target("cuda-tensorrt-rtx", GPU, "tensorrt-rtx", "fp32"),
    Target("cuda-tensorrt-rtx-fp16", GPU, "tensorrt-rtx", "fp16"),
    Target("cuda-tensorrt-rtx-int8", GPU, "tensorrt-rtx", "int8"),
    Target(JETSON, "NVIDIA Jetson, reached through --host", "tensorrt", "fp16", elsewhere=True),
    Target("jetson-orin-nano", "NVIDIA Jetson Orin Nano 8GB", "tensorrt", "fp16"),
    Target("jetson-agx-orin", "NVIDIA Jetson AGX Orin 64GB", "tensorrt", "fp16"),
)
TARGET_NAMES = tuple(target.name for target in NAMED_TARGETS)
