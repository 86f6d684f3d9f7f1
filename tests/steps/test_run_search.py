"""The search of a run."""

from helpers.told import Told

from facenas.latency.this_machine import Calibrate
from facenas.steps.run_search import search_of_run, table_of_run
from facenas.steps.run_settings import Asked, RunSettings
from facenas.units import as_latency_budget


def test_where_the_table_is_of_one_input_that_is_said_once() -> None:
    asked = Asked("cpu", as_latency_budget("5ms"), None, RunSettings(calibrate=Calibrate.NEVER))
    told = Told()
    table = table_of_run(asked, told)
    result = search_of_run(asked, table, told)
    assert result.input == str(table.input_size)
    assert [line.partition(":")[0] for line in told.lines if "is searched" in line] == ["only 640x480 is searched"]
