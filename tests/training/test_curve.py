"""The curve as a table."""

import csv
import json
from pathlib import Path

from facenas.training.curve import Curve

LINES = ({"step": 20, "score": 0.5}, {"step": 40, "score": 0.4}, {"step": 40, "easy": 0.7}, {"step": 60, "score": 0.3})


def test_a_table_has_a_row_a_step_and_a_column_a_figure(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "training.jsonl")
    curve.write_csv()
    assert not (tmp_path / "training.csv").exists()  # before the first line
    for line in LINES:
        curve.append(line)
    with (tmp_path / "training.jsonl").open("a") as file:
        file.write(json.dumps({"step": 80, "score": 0.2})[:-4])  # cut by a kill
    curve.write_csv()
    with (tmp_path / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert rows[1] == {"step": "40", "score": "0.4", "easy": "0.7"}
    assert rows[0]["easy"] == ""
