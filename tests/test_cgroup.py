"""Quotas of containers, both versions of control groups."""

from pathlib import Path

import pytest

from facenas.cgroup import free_within_limits, quota_cores, throttled_ns


def groups(tmp_path: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    root = tmp_path / "cgroup"
    root.mkdir()
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    of_process = tmp_path / "membership"
    of_process.write_text(membership)
    return root, of_process


@pytest.mark.parametrize(
    ("membership", "files", "cores", "stopped_ns"),
    [
        ("0::/\n", {"cpu.max": "50000 100000\n", "cpu.stat": "usage_usec 9\nthrottled_usec 1500\n"}, 0.5, 1_500_000),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5, 0),
        ("0::/gone\n", {"cpu.max": "max 100000"}, None, 0),
        (
            "4:memory:/x\n2:cpu:/half\n0::/\n",
            {
                "cpu/half/cpu.cfs_quota_us": "50000",
                "cpu/half/cpu.cfs_period_us": "100000",
                "cpu/half/cpu.stat": "nr_periods 3\nnr_throttled 2\nthrottled_time 77\n",
            },
            0.5,
            77,
        ),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, 0),
        ("", {}, None, 0),
    ],
    ids=["half a core", "an outer group's limit", "a group that is not shown", "version 1", "no limit", "no groups"],
)
def test_quota_and_throttling(
    tmp_path: Path, membership: str, files: dict[str, str], cores: float | None, stopped_ns: int
) -> None:
    root, of_process = groups(tmp_path, membership, files)
    assert quota_cores(root, of_process) == cores
    assert throttled_ns(root, of_process) == stopped_ns


@pytest.mark.parametrize(
    ("membership", "files", "free_bytes"),
    [
        ("0::/\n", {"memory.max": "1000\n", "memory.current": "300\n"}, 700),
        (
            "0::/a/b\n",
            {"memory.max": "max", "a/memory.max": "500", "a/memory.current": "900", "a/b/memory.max": "max"},
            0,
        ),
        ("9:memory:/x\n", {"memory/x/memory.limit_in_bytes": "4096", "memory/x/memory.usage_in_bytes": "96"}, 4000),
        ("9:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_memory_that_a_container_leaves(
    tmp_path: Path, membership: str, files: dict[str, str], free_bytes: int
) -> None:
    assert free_within_limits(*groups(tmp_path, membership, files)) == free_bytes
