"""What a container or a service may take of processor and memory: control groups of Linux, version 2 or 1.

A group with a quota is stopped when it has used it up, until its next period; that is no other program's doing.
"""

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes a number like this for none


def quota_cores(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """How many cores' worth of time this process may take, for example 0.5; None where there is no limit."""
    limits = [limit for folder in _folders(root, membership) if (limit := _quota(folder)) is not None]
    return min(limits, default=None)


def throttled_ns(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """For how long this process's groups have been stopped because their quota was used up, in all."""
    for folder in _folders(root, membership):
        words = _read(folder / "cpu.stat").split()
        stat = dict(zip(words[::2], words[1::2], strict=False))
        if "throttled_usec" in stat:
            return 1000 * int(stat["throttled_usec"])
        if "throttled_time" in stat:
            return int(stat["throttled_time"])
    return 0


def free_within_limits(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """How many bytes of memory the groups of this process leave it; None where there is no limit."""
    free = []
    for folder in _folders(root, membership, "memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most = _read(folder / limit)
            if most.isdecimal() and int(most) < _NO_LIMIT:
                now = _read(folder / used)
                free.append(max(0, int(most) - (int(now) if now.isdecimal() else 0)))
    return min(free, default=None)


def _folders(root: Path, membership: Path, controller: str = "cpu") -> list[Path]:
    """The groups that this process is in, from its own outwards. In a container its own may be shown as the root."""
    found = []
    for line in _read(membership).splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        own = base / place.lstrip("/")
        found += [folder for folder in (own, *own.parents) if folder.is_relative_to(base) and folder.is_dir()]
    return found


def _quota(folder: Path) -> float | None:
    if words := _read(folder / "cpu.max").split():
        return None if words[0] == "max" else int(words[0]) / int(words[1])
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
