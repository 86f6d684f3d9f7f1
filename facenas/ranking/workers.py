"""The candidates of a rung side by side, through Ray: on the cores of this machine, or on a cluster that is there.

A Ray of our own is reached from this machine only. Ray starts a process for each training; where the cluster has GPUs, each
gets one, else one core. A process that dies is started again by Ray and goes on from its last state. The machines of a cluster
must see the photos and the folder of the ranking under the same paths, and have facenas installed. Ray's usage statistics stay
off.
"""

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from facenas.devices.cpu import cores
from facenas.errors import FacenasError, InputError, MissingPackageError, TrainingError
from facenas.progress import SILENT, Progress
from facenas.ranking.halving import RungResult, RungTask, RunTasks, one_after_another, train_rung
from facenas.training.photos import TrainingPhotos

INSTALL = "pip install 'facenas[cluster]'"
_RETRIES = 2
_ANSWER_S = 5.0


def ray_installed() -> bool:
    """Whether candidates can be trained side by side."""
    return find_spec("ray") is not None


@contextmanager
def workers(address: str | None) -> Iterator[tuple[RunTasks, str]]:
    """What runs the tasks of a rung for as long as the context lasts, and a line for the person that says where.

    `address` joins a cluster (`auto`, `host:6379`); None starts a local Ray with a worker a core, or without the package
    means this process. Raises MissingPackageError where `address` needs Ray and it is absent, InputError where nothing
    answers there.
    """
    if not ray_installed():
        if address is not None:
            raise MissingPackageError(f"--address {address} needs Ray, which is not installed: {INSTALL}")
        yield one_after_another, f"one candidate after another, as Ray is not installed (side by side: {INSTALL})"
        return
    if address is not None:
        _require_answer(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A Ray to come no longer hides GPUs of tasks that ask for none; told so now, it does not announce it.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # What Ray calls a laptop: all of its ports are on loopback, not open to whoever reaches this machine.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = import_module("ray")
    # Workers import from the folder that it is started in, before all others: an empty one, not the user's.
    with tempfile.TemporaryDirectory(prefix="facenas-") as empty:
        with chdir(empty):
            _start(ray, address)
        try:
            gpus = int(ray.cluster_resources().get("GPU", 0))
            places = gpus or int(ray.cluster_resources().get("CPU", 1))
            kind = "GPU" if gpus else "core"
            where = "on this machine, which alone reaches them" if address is None else f"on the cluster at {address}"
            yield (
                lambda tasks, photos, progress: _run_with_ray(ray, gpus > 0, tasks, photos, progress),
                f"up to {places} candidates side by side {where}, one a {kind}, through Ray {ray.__version__}",
            )
        finally:
            ray.shutdown()


def _start(ray: Any, address: str | None) -> None:
    """Start a Ray, or join that at `address`. Raises InputError."""
    local = {"address": "local", "num_cpus": cores(), "include_dashboard": False}
    try:
        ray.init(**(local if address is None else {"address": address}), log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "a local Ray does not start" if address is None else f"no Ray cluster at --address {address}"
        cure = "remove the package to train one after another, or name a cluster (--address)"
        if address is not None:
            cure = "check it with `ray status`, set RAY_AUTH_MODE=token where it wants a token, or leave --address away"
        raise InputError(f"{where} ({reason}); {cure}") from error


def _require_answer(address: str) -> None:
    """Raises InputError where nothing listens at `host:port`; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return  # `auto` and the like are Ray's to find
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Ray cluster answers at --address {address} ({error}); check it with `ray status`, or leave it away"
        ) from error


def _train_quietly(task: RungTask, photos: TrainingPhotos) -> RungResult:
    """What a worker does; its progress is seen when it is done."""
    return train_rung(task, photos, SILENT, side_by_side=True)


def _run_with_ray(
    ray: Any, gpus: bool, tasks: Sequence[RungTask], photos: TrainingPhotos, progress: Progress
) -> list[RungResult]:
    errors = import_module("ray.exceptions")
    train = ray.remote(num_cpus=1, num_gpus=int(gpus), max_retries=_RETRIES)(_train_quietly)
    shared = ray.put(photos)
    waiting = [train.remote(task, shared) for task in tasks]
    order, what = list(waiting), tasks[0].name.rpartition(",")[0] + ", candidates"
    try:
        while waiting:
            _, waiting = ray.wait(waiting)
            progress(len(order) - len(waiting), len(order), what)
        return list(ray.get(order))
    except errors.RayTaskError as error:
        if isinstance(error.cause, FacenasError):
            raise error.cause from None
        raise
    except errors.RayError as error:
        raise TrainingError(
            f"a worker of Ray was lost ({type(error).__name__}); free memory or bring its machine back, then --resume"
        ) from error
