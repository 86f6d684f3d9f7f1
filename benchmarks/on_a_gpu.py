"""Everything that wants a GPU, in stages that a short loan of one can hold: tests, profiles, speed, training, results.

    python benchmarks/on_a_gpu.py all --photos PIECES --val VALIDATION_PHOTOS --max-minutes 9
    python benchmarks/on_a_gpu.py train --photos PIECES --val VALIDATION_PHOTOS --max-minutes 9     # goes on where it was

Needs Python 3.11 or later, torch with CUDA, numpy, opencv, pillow, scipy, onnx, onnxruntime, safetensors, typer, rich and
pytest: no network, and a checkout that need not be installed. `--photos`: pieces of `facenas pack`, as many as there are.
What a stage has reached lies in `--state`, and the same command goes on from there; results and weights are copied to
`--out` (default: the folder that $OUT names) after every stage. docs/gpu.md has the whole of it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from processes import StoppedError, begin, finish, last_line, package_of, told_by

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("check", "profile", "speed", "train", "results")
GPU_TESTS = ("tests/runtimes/test_torch_cuda.py", "tests/training/test_device_batches.py")
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
SPACE = "facenas-elastic"
WAYS = ("detector", "supernet", "cores", "compiled", "at_once")
_START_S = 60.0  # a training loads torch and decodes all photos before its clock runs, and judges once after
_COMPILE_S = 150.0
_MACHINE = """
import json, os, sys, torch
there = torch.cuda.is_available()
print(json.dumps({"python": sys.version.split()[0], "torch": torch.__version__, "cores": len(os.sched_getaffinity(0)),
    "gpu": torch.cuda.get_device_name() if there else None, "cuda": torch.version.cuda,
    "memory_gb": round(torch.cuda.mem_get_info()[1] / 1e9, 1) if there else None}))
"""
_FACENAS = ("-P", "-m", "facenas.cli.main")
_COUNT = """
import json, sys
from pathlib import Path
from facenas.data.source import open_dataset
print(json.dumps(len(open_dataset(Path(sys.argv[1])).photos)))
"""


@dataclass(frozen=True)
class Job:
    """One training: its folder's name, what is trained in the words of `facenas train`, and the minutes that it is given."""

    name: str
    words: tuple[str, ...]
    minutes: float
    learning_rate: float


class Run:
    """The stages, their state, and the time that is left."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.state, self.out = options, options.state.resolve(), options.out.resolve()
        self.deadline: float = time.monotonic() + 60 * options.max_minutes
        self.state.mkdir(parents=True, exist_ok=True)
        places = [str(package_of(ROOT, self.state / "code")), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self.results: dict[str, Any] = _read(self.state / "results.json")

    @property
    def seconds_left(self) -> float:
        """Until --max-minutes are over."""
        return self.deadline - time.monotonic()

    def note(self, stage: str, value: object) -> None:
        """Keep a stage's result."""
        self.results[stage] = value
        (self.state / "results.json").write_text(json.dumps(self.results, indent=1) + "\n")

    def call(
        self, words: Sequence[str | Path], most_s: float, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A Python command, told to stop (Ctrl-C) where it takes longer; its progress is not shown."""
        return finish(begin(words, cwd or self.state, self.environment), most_s)

    def facenas(self, *words: str | Path, most_s: float | None = None) -> Any:
        """The JSON that a verb of facenas prints. Raises StoppedError with its last line where it fails."""
        left = self.seconds_left if most_s is None else min(most_s, self.seconds_left)
        return told_by(self.call([*_FACENAS, *words, "--json"], left))

    def facenas_at_once(self, each: Mapping[str, Sequence[str | Path]]) -> dict[str, Any]:
        """The JSON that each of some verbs prints, all running at the same time; StoppedError for one that fails."""
        begun = [begin([*_FACENAS, *words, "--json"], self.state, self.environment) for words in each.values()]
        with ThreadPoolExecutor(len(begun)) as pool:
            done = list(pool.map(lambda process: finish(process, self.seconds_left), begun))
        told = {}
        for name, one in zip(each, done, strict=True):
            try:
                told[name] = told_by(one)
            except StoppedError as stop:
                told[name] = stop
        return told

    def ask(self, code: str, *words: Path) -> Any:
        """What a few lines of Python print as JSON."""
        done = self.call(["-P", "-c", code, *words], self.seconds_left)
        if done.returncode:
            raise StoppedError(last_line(done))
        return json.loads(done.stdout)

    # The stages

    def check(self) -> None:
        """The machine, and the tests that need a GPU."""
        machine = self.ask(_MACHINE)
        self.note("machine", machine)
        print(f"machine: {machine['gpu'] or 'no GPU'}, torch {machine['torch']}, {machine['cores']} cores")
        # Neither the plugins nor the warnings of the developers' environment are asked for.
        quiet = ["-o", "addopts=--import-mode=importlib", "-o", "filterwarnings=default", "-p", "no:cacheprovider"]
        done = self.call(["-P", "-m", "pytest", "-q", "-rs", *quiet, *GPU_TESTS], self.seconds_left, ROOT)
        lines = done.stdout.strip().splitlines()
        self.note("tests", {"passed": done.returncode == 0, "summary": lines[-1] if lines else last_line(done)})
        print(f"tests: {self.results['tests']['summary']}")
        if done.returncode:
            print("\n".join(lines[-40:]) or done.stderr[-2000:])

    def profile(self) -> None:
        """Latency tables of the targets, each in the seconds that --profile-seconds says and what building takes."""
        told = {}
        for target in self.options.targets:
            words = ["profile", "--device", target, "--input", "640x480", "--out", self.state / f"{target}.json"]
            seconds = ["--seconds", str(self.options.profile_seconds), "--resume", "--even-if-busy", "--quick"]
            try:
                told[target] = self.facenas(*words, *seconds, most_s=60 * self.options.profile_minutes)
                print(
                    f"profile {target}: {told[target]['operators']} operators, {told[target]['seconds']} s, mean error"
                    f" {told[target]['calibration_error_percent']} %"
                )
            except StoppedError as stop:
                told[target] = {"not measured": str(stop)}
                print(f"profile {target}: not measured: {stop}")
        self.note("profile", told)

    def speed(self) -> None:
        """Crops a second of a training: a detector, the supernet, a detector whose crops the cores make, a compiled one; and
        of all trainings at the same time."""
        detector = ("--arch", SPEED_ARCH)
        ways = {
            "detector": (*detector, "--photos-on-device"),
            "compiled": (*detector, "--photos-on-device", "--compile"),
            "cores": detector,
            "supernet": ("--space", SPACE, "--photos-on-device"),
        }
        told: dict[str, Any] = dict(self.results.get("speed", {}))
        for way in self.options.ways:
            if way == "at_once":
                told[way] = self._speed_at_once()
            else:
                told[way] = self._speed_of(way, ways[way])
            print(f"speed, {way}: {told[way] or 'not measured'} crops a second")
            self.note("speed", told)

    def _speed_of(self, way: str, what: Sequence[str]) -> float | None:
        folder = self.state / "speed"
        shutil.rmtree(folder, ignore_errors=True)
        seconds = self.options.speed_seconds
        words = [*self._common(self.options.epochs or 100_000, 0.001), *what, "--out", folder]
        try:
            limit = seconds + _START_S + (_COMPILE_S if way == "compiled" else 0)
            self.facenas("train", *words, "--max-minutes", str(seconds / 60), most_s=limit)
        except StoppedError as stop:
            print(f"speed, {way}: {stop}")
        return crops_per_s(folder)

    def _speed_at_once(self) -> dict[str, float | None]:
        folder = self.state / "speed"
        shutil.rmtree(folder, ignore_errors=True)
        epochs = self.options.epochs or 100_000
        minutes = self.options.speed_seconds / 60
        each = {job.name: self._words(job, epochs, folder / job.name, minutes) for job in self._jobs()}
        for name, result in self.facenas_at_once(each).items():
            if isinstance(result, StoppedError):
                print(f"speed, {name}: {result}")
        return {name: crops_per_s(folder / name) for name in each}

    def train(self) -> None:
        """The supernet, then each choice from its slice of it, or all at the same time; goes on with what is not finished."""
        jobs = self._jobs()
        plan = self._plan(jobs)
        told = dict(self.results.get("training", {}))
        open_ = [job for job in jobs if not told.get(job.name, {}).get("finished")]
        for group in [open_] if self.options.at_once and open_ else [[job] for job in open_]:
            minutes = (self.seconds_left - _START_S) / 60
            if minutes <= 0 and not self.options.epochs:
                print(f"train: no time left for {', '.join(job.name for job in group)}; the same command goes on")
                break
            each = {
                job.name: self._words(job, plan[job.name], self.state / job.name, max(0.1, minutes)) for job in group
            }
            stops = []
            for name, result in self.facenas_at_once(each).items():
                if isinstance(result, StoppedError):
                    stops.append(f"{name}: {result}")
                    continue
                told[name] = {**result, "crops_per_s": crops_per_s(self.state / name)}
                self.note("training", told)
                print(
                    f"train {name}: step {result['step']:,} of {result['steps']:,}, {told[name]['crops_per_s']} crops a"
                    f" second, best {result['best']}"
                )
            self.collect()
            if stops:
                raise StoppedError("; ".join(stops))

    def _words(self, job: Job, epochs: int, out: Path, minutes: float) -> list[str | Path]:
        """The command that trains, or goes on with, a job."""
        return [
            "train",
            *self._common(epochs, job.learning_rate),
            *job.words,
            "--photos-on-device",
            *self._init(job),
            *([] if self.options.no_landmarks else ["--landmarks"]),
            *(["--compile"] if self.options.compile and job.name != "supernet" else []),
            *("--out", out, "--resume", "--max-minutes", str(minutes)),
        ]

    def _common(self, epochs: int, rate: float) -> list[str | Path]:
        options = self.options
        given: list[str | Path] = ["--data", options.photos, "--val", options.val]
        given += ["--crop", str(options.crop), "--batch", str(options.batch)]
        given += ["--validations", str(options.validations), "--rotate", f"{options.rotate:g}"]
        return [*given, "--epochs", str(epochs), "--learning-rate", f"{rate:g}"]

    def _jobs(self) -> list[Job]:
        options = self.options
        jobs = []
        if options.supernet_minutes > 0:
            jobs.append(Job("supernet", ("--space", SPACE), options.supernet_minutes, options.learning_rate))
        choices = CHOICES if options.choices is None else _read(options.choices)
        for name, (size, arch) in choices.items():
            words = ("--arch", arch, "--input", size)
            jobs.append(Job(name, words, options.choice_minutes, options.choice_learning_rate))
        return jobs

    def _init(self, job: Job) -> list[str | Path]:
        """The supernet to start from: the one that is given, or for a choice the one that was trained."""
        if self.options.supernet is not None:
            return ["--init", self.options.supernet.resolve()]
        supernet = self.state / "supernet" / "best.safetensors"
        return ["--init", supernet] if job.name != "supernet" and supernet.exists() else []

    def _plan(self, jobs: Sequence[Job]) -> Mapping[str, int]:
        """Epochs of each training, kept: a recipe must not change while it goes on."""
        path = self.state / "plan.json"
        plan: dict[str, int] = _read(path)
        if not set(plan) >= {job.name for job in jobs}:
            photos = self.ask(_COUNT, self.options.photos)
            if not self.options.epochs and not self._speeds(jobs):
                self.speed()
            for job in jobs:
                plan.setdefault(job.name, self.options.epochs or self._epochs(job, photos))
            path.write_text(json.dumps(plan) + "\n")
        print(f"plan: {', '.join(f'{name} {epochs} epochs' for name, epochs in plan.items())}")
        return plan

    def _speeds(self, jobs: Sequence[Job]) -> dict[str, float]:
        """Crops a second of each of some trainings as they will run; none where one of them was not measured."""
        told = self.results.get("speed", {})
        if self.options.at_once:
            speeds = {job.name: told.get("at_once", {}).get(job.name) for job in jobs}
        else:
            speeds = {job.name: told.get("supernet" if job.name == "supernet" else "detector") for job in jobs}
        return speeds if all(speeds.values()) else {}

    def _epochs(self, job: Job, photos: int) -> int:
        speed = self._speeds([job]).get(job.name)
        minutes = (self.seconds_left - _START_S) / 60 if self.options.at_once else job.minutes
        if not speed:
            raise StoppedError(
                "speed could not be measured, so no number of epochs follows from the minutes; give --epochs"
            )
        return max(1, int(0.9 * speed * 60 * minutes / photos))

    def results_of(self) -> None:
        """Every choice exported and judged."""
        told = {}
        for job in self._jobs():
            best = self.state / job.name / "best.safetensors"
            if job.name == "supernet" or not best.exists():
                continue
            model = self.state / f"{job.name}.onnx"
            self.facenas("export", "--checkpoint", best, "--format", "onnx", "--out", model)
            told[job.name] = {
                protocol: self.facenas("evaluate", "--model", model, "--data", self.options.val, "--protocol", protocol)
                for protocol in ("own", "vga")
            }
            self.note("accuracy", told)
            own = told[job.name]["own"]
            figures = {name: own[name] for name in ("easy", "medium", "hard", "all") if own.get(name) is not None}
            print(f"{job.name}: at its own input {figures}")

    def collect(self) -> None:
        """Copy what is worth keeping to --out: figures, curves, weights, tables; with --keep-state all that goes on."""
        self.out.mkdir(parents=True, exist_ok=True)
        files = [*self.state.glob("*.json"), *self.state.glob("*.onnx")]
        for path in files:
            shutil.copy2(path, self.out / path.name)
        wanted = ["best.safetensors", "training.jsonl", *(["last.safetensors"] if self.options.keep_state else [])]
        for job in self._jobs():
            for name in wanted:
                if (path := self.state / job.name / name).exists():
                    (self.out / job.name).mkdir(exist_ok=True)
                    shutil.copy2(path, self.out / job.name / name)


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


def crops_per_s(folder: Path) -> float | None:
    """The median over the later half of a training's curve, None where it has none yet."""
    path = folder / "training.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    rates = [line["crops_per_s"] for line in lines if "crops_per_s" in line]
    return round(median(rates[len(rates) // 2 :]), 1) if rates else None


def parse_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
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


def main() -> int:
    """Run the stages; 0 where each did what it could, 1 where one was stopped."""
    options = parse_options()
    run = Run(options)
    stages = {
        "check": run.check,
        "profile": run.profile,
        "speed": run.speed,
        "train": run.train,
        "results": run.results_of,
    }
    done = {"check": "tests", "profile": "profile", "speed": "speed"}
    code = 0
    for stage in STAGES if options.stage == "all" else (options.stage,):
        if options.stage == "all" and done.get(stage) in run.results:
            continue
        try:
            stages[stage]()
        except StoppedError as stop:
            print(f"{stage}: {stop}", file=sys.stderr)
            code = 1
        run.collect()
    print(f"results in {run.out}, {run.seconds_left / 60:.1f} of {options.max_minutes:g} minutes left")
    return code


if __name__ == "__main__":
    sys.exit(main())
