"""What benchmarks/on_a_gpu.py can be told, and the networks that it trains."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

STAGES = ("check", "profile", "chain", "speed", "train", "results")
SPEED_ARCH = (  # facenas-12ms
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,32,2,1)SuperConvK3BNRELU(32,64,2,1)"
    "SuperResK3K3(64,96,2,48,1)SuperResK3K3(96,128,2,128,1)PAFPN(32)HeadDW(64,2)"
)
_STEM = "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,32,2,1)"
CHOICES = {  # by milliseconds on one core, of benchmarks/results/inputs_frontier.json
    "1ms": (
        "256x192",
        f"{_STEM}SuperResK3K3(32,32,2,32,1)SuperResK3K3(32,64,2,16,1)SuperResK3K3(64,64,2,32,1)PAFPN(16)HeadDW(48,1)",
    ),
    "2.5ms": (
        "384x288",
        f"{_STEM}SuperResK3K3(32,48,2,48,1)SuperResK3K3(48,48,2,32,2)SuperResK3K3(48,64,2,32,2)PAFPN(16)HeadDW(32,1)",
    ),
    "5ms": (
        "512x384",
        f"{_STEM}SuperResK3K3(32,32,2,48,2)SuperResK3K3(32,48,2,32,2)SuperResK3K3(48,96,2,48,2)PAFPN(16)HeadDW(48,1)",
    ),
    "10ms": (
        "512x384",
        f"{_STEM}SuperResK3K3(32,48,2,48,2)SuperResK3K3(48,80,2,80,2)SuperResK3K3(80,96,2,112,2)PAFPN(32)HeadDW(64,2)",
    ),
}
WAYS = ("detector", "supernet", "cores", "compiled", "at_once")


def parse_options(what: str, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of the script that does `what`."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("stage", choices=("all", *STAGES))
    parser.add_argument("--photos", type=Path, required=True, help="pieces to train on (a folder, or one of them)")
    parser.add_argument("--val", type=Path, required=True, help="photos to judge on")
    parser.add_argument(
        "--state", type=Path, default=Path("runs/gpu"), help="folder that the next command goes on from"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", "runs/gpu-results")), help="folder for results"
    )
    parser.add_argument("--max-minutes", type=float, default=9.0, help="stop after so many minutes, to go on later")
    parser.add_argument("--targets", nargs="+", default=["cuda", "cuda-fp16"], help="what is profiled")
    parser.add_argument(
        "--profile-seconds", type=float, default=30.0, help="of measuring a target, and four rounds at least"
    )
    parser.add_argument("--profile-minutes", type=float, default=1.5, help="of a target with all that building takes")
    parser.add_argument("--input", default="640x480", help="that is profiled, and searched for")
    parser.add_argument("--chain-minutes", type=float, default=2.0, help="of a target's run, and again of its verdict")
    parser.add_argument(
        "--chain-targets", nargs="+", default=["cuda", "cuda-fp16"], help="for what a detector is searched and proved"
    )
    parser.add_argument(
        "--chain-latency", help="its budget, for example 1ms (default: what the network of 5 ms on a core takes there)"
    )
    parser.add_argument("--speed-seconds", type=float, default=15.0, help="of each way to train")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, help="what the speed is measured of (default: what train needs)"
    )
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="train all at the same time, for as long as there is: keeps a large GPU busy",
    )
    parser.add_argument("--compile", action="store_true", help="let torch make kernels for the choices first")
    parser.add_argument("--validations", type=int, default=3, help="of each training")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--rotate", type=float, default=0.0, help="turn every second crop by up to so many degrees")
    parser.add_argument("--learning-rate", type=float, default=0.004, help="of the supernet")
    parser.add_argument("--choice-learning-rate", type=float, default=0.002, help="of the choices, which start from it")
    parser.add_argument("--supernet", type=Path, help="a supernet to start from (default: random weights)")
    parser.add_argument("--supernet-minutes", type=float, default=3.5, help="of its training; 0: none is trained")
    parser.add_argument("--choice-minutes", type=float, default=0.75)
    parser.add_argument(
        "--choices", type=Path, help="JSON file: name -> [input, block string] (default: four of the frontier)"
    )
    parser.add_argument("--epochs", type=int, help="of every training (default: as many as the minutes hold)")
    parser.add_argument("--no-landmarks", action="store_true", help="learn boxes alone")
    parser.add_argument(
        "--keep-state", action="store_true", help="also copy the states to --out that trainings go on from"
    )
    options = parser.parse_args(words)
    for given in (options.supernet, options.choices):
        if given is not None and not given.is_file():
            parser.error(f"no file {given}")
    options.ways = options.ways or (["at_once"] if options.at_once else list(WAYS[:2]))
    options.photos, options.val = options.photos.resolve(), options.val.resolve()
    return options
