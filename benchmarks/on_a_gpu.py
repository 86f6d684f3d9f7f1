"""Everything that wants a GPU, in stages that a short loan of one can hold: tests, profiles, a run to its end, speed, training,
results.

    python benchmarks/on_a_gpu.py all --photos PIECES --val VALIDATION_PHOTOS --max-minutes 9
    python benchmarks/on_a_gpu.py train --photos PIECES --val VALIDATION_PHOTOS --max-minutes 9     # goes on where it was

Needs Python 3.11 or later, torch with CUDA, numpy, opencv, pillow, scipy, onnx, onnxruntime, safetensors, typer, rich and
pytest: no network, and a checkout that need not be installed. `--photos`: pieces of `facenas pack`, as many as there are.
What a stage has reached lies in `--state`, and the same command goes on from there; results and weights are copied to
`--out` (default: the folder that $OUT names) after every stage. docs/gpu.md has the whole of it.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from gpu_chain import chain, collect_chains, profile_of
from gpu_options import CHOICES, SPEED_ARCH, STAGES, parse_options
from gpu_run import ROOT, Lent, read
from processes import StoppedError, last_line

GPU_TESTS = ("tests/runtimes/test_torch_cuda.py", "tests/training/test_device_batches.py")
SPACE = "facenas-elastic"
_START_S = 60.0  # a training loads torch and decodes all photos before its clock runs, and judges once after
_COMPILE_S = 150.0
_MACHINE = """
import json, os, sys, torch
there = torch.cuda.is_available()
print(json.dumps({"python": sys.version.split()[0], "torch": torch.__version__, "cores": len(os.sched_getaffinity(0)),
    "gpu": torch.cuda.get_device_name() if there else None, "cuda": torch.version.cuda,
    "memory_gb": round(torch.cuda.mem_get_info()[1] / 1e9, 1) if there else None}))
"""
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


class Run(Lent):
    """The stages."""

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
            try:
                told[target] = profile_of(self, target)
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
        choices = CHOICES if options.choices is None else read(options.choices)
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
        plan: dict[str, int] = read(path)
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
        collect_chains(self)
        wanted = ["best.safetensors", "training.jsonl", *(["last.safetensors"] if self.options.keep_state else [])]
        for job in self._jobs():
            for name in wanted:
                if (path := self.state / job.name / name).exists():
                    (self.out / job.name).mkdir(exist_ok=True)
                    shutil.copy2(path, self.out / job.name / name)


def crops_per_s(folder: Path) -> float | None:
    """The median over the later half of a training's curve, None where it has none yet."""
    path = folder / "training.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    rates = [line["crops_per_s"] for line in lines if "crops_per_s" in line]
    return round(median(rates[len(rates) // 2 :]), 1) if rates else None


def main() -> int:
    """Run the stages; 0 where each did what it could, 1 where one was stopped."""
    options = parse_options((__doc__ or "").splitlines()[0])
    run = Run(options)
    stages = {
        "check": run.check,
        "profile": run.profile,
        "chain": lambda: chain(run),
        "speed": run.speed,
        "train": run.train,
        "results": run.results_of,
    }
    done = {"check": "tests", "profile": "profile", "chain": "chain", "speed": "speed"}
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
