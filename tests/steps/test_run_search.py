"""The search of a run."""

import json
from pathlib import Path

from helpers.elastic_tables import elastic_table
from helpers.told import Told

from facenas.latency.this_machine import Calibrate
from facenas.steps.run_search import search_of_run, table_of_run
from facenas.steps.run_settings import Asked, RunSettings
from facenas.units import as_latency_budget
from facenas.zoo import zoo_accuracy_table


def test_where_the_table_is_of_one_input_that_is_said_once(tmp_path: Path) -> None:
    settings = RunSettings(calibrate=Calibrate.NEVER, table=elastic_table(tmp_path / "cpu.json"))
    asked = Asked("cpu", as_latency_budget("5ms"), None, settings)
    told = Told()
    table = table_of_run(asked, told)
    result = search_of_run(asked, table, told)
    assert result.input == str(table.input_size)
    assert [line.partition(":")[0] for line in told.lines if "is searched" in line] == ["only 640x480 is searched"]


def test_ap_is_that_of_the_supernet_given_or_said_not_to_be(tmp_path: Path) -> None:
    supernet, input_size = tmp_path / "mine.safetensors", "640x480"
    settings = RunSettings(supernet=supernet, input_size=input_size, calibrate=Calibrate.NEVER)
    asked = Asked("cpu", as_latency_budget("20ms"), None, settings)
    told = Told()
    table = table_of_run(asked, told)
    search_of_run(asked, table, told)
    assert sum("as for the supernet that ships" in line for line in told.lines) == 1
    shipped = zoo_accuracy_table("facenas-elastic")
    assert shipped is not None
    accuracy = json.loads(shipped.read_text())
    accuracy["supernet"]["file"] = supernet.name
    (tmp_path / "mine.accuracy.json").write_text(json.dumps(accuracy))
    told = Told()
    found = search_of_run(asked, table, told)
    assert found.accuracy is not None
    assert found.accuracy.supernet == supernet.name
    assert not any("as for the supernet that ships" in line for line in told.lines)
