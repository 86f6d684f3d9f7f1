import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from facenas.errors import InputError
from facenas.locks import only_one

_HOLD = """
import sys, time
from pathlib import Path
from facenas.locks import only_one
with only_one(Path(sys.argv[1]), "a profile"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_and_what_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "t.json.lock"
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match=rf"a profile of cpu is running already \(process {process.pid}\)"):  # noqa: SIM117
        with only_one(path, "a profile of cpu"):
            pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert path.exists()
    with only_one(path, "a profile of cpu"):
        assert path.read_text() == str(os.getpid())
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot lock"):  # noqa: SIM117
        with only_one(tmp_path / "file/t.lock", "a profile"):
            pass
