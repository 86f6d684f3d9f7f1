"""What a user of ultralytics, optuna, Olive, rf-detr or uniface expects: each yes names the test that runs it.

docs/expectations.md is written from this table: `python tests/test_expectations.py`.
"""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/expectations.md"
FRONT, NEXT, COPIES, PHOTOS, EXAMPLES = (
    "cli/test_what_people_expect.py",
    "cli/test_one_leads_to_the_next.py",
    "cli/test_detect_copies.py",
    "cli/test_photos.py",
    "test_examples.py",
)


class Expectation(NamedTuple):
    """`test`: the file below tests/ and the function that runs the command; empty: no, and `how` says what instead."""

    what: str
    how: str
    test: tuple[str, str] | None


EXPECTATIONS = (
    Expectation("the version", "`facenas --version`", (FRONT, "test_the_version")),
    Expectation("help by -h, nowhere cut off", "`facenas -h`", (FRONT, "test_no_help_is_cut_off")),
    Expectation("runs as a module", "`python -m facenas`", (FRONT, "test_it_runs_as_a_module")),
    Expectation("shell completion, names too", "`facenas --install-completion`", (FRONT, "test_a_shell_completes")),
    Expectation("JSON from every verb", "`--json`", (FRONT, "test_every_verb_has_short_help_json_and_verbosity")),
    Expectation("quiet", "`-q`", (FRONT, "test_quiet_leaves_the_result_and_errors")),
    Expectation("verbose, with a traceback", "`-v`", (FRONT, "test_verbose_names_versions_and_the_place_of_an_error")),
    Expectation("did you mean", "`--device cpu-openvno`", (FRONT, "test_a_name_slightly_wrong_is_told_the_right_one")),
    Expectation("other tools' format names", "`--format engine`", (FRONT, "test_formats_by_their_other_names")),
    Expectation("pretrained models by name", '`facenas.FaceDetector("facenas-12ms")`', (NEXT, "test_the_zoo_by_name")),
    Expectation(
        "fine-tuning in one line", "`facenas train --init facenas-12ms`", (NEXT, "test_fine_tuning_in_one_line")
    ),
    Expectation(
        "a best checkpoint whenever it ends",
        "`--max-minutes`, Ctrl-C",
        (NEXT, "test_a_training_that_is_stopped_early_can_be_exported"),
    ),
    Expectation(
        "resuming a training", "`--resume`", ("training/test_loop.py", "test_in_slices_of_time_it_ends_as_in_one_go")
    ),
    Expectation(
        "a run folder as a model",
        "`facenas detect photo.jpg --model RUN`",
        (NEXT, "test_a_training_is_exported_scored_and_verified_by_its_folder"),
    ),
    Expectation(
        "a check of the data set",
        "`facenas photos DATA --val VAL`",
        (PHOTOS, "test_a_photo_in_both_parts_is_found_by_what_it_shows"),
    ),
    Expectation(
        "boxes drawn, of videos too",
        "`facenas detect clip.mp4 --out drawn --video`",
        (COPIES, "test_a_video_with_boxes"),
    ),
    Expectation("faces cut out", "`facenas detect photo.jpg --crops faces`", (COPIES, "test_faces_are_cut_out")),
    Expectation(
        "faces blurred",
        "`facenas detect photo.jpg --out blurred --blur`",
        (COPIES, "test_blurred_faces_hold_nothing_of_the_face"),
    ),
    Expectation(
        "results as JSON Lines",
        "`facenas detect clip.mp4 --jsonl found.jsonl`",
        (COPIES, "test_a_line_of_json_a_picture"),
    ),
    Expectation(
        "a confidence threshold suggested",
        "`facenas evaluate`",
        ("evaluation/test_operating_points.py", "test_the_suggested_score_keeps_the_right_ones_and_no_other"),
    ),
    Expectation(
        "examples that run",
        "`python examples/detect_folder.py photos faces.csv`",
        (EXAMPLES, "test_a_folder_becomes_a_table"),
    ),
    Expectation(
        "an exported file in one's own runtime",
        "`python examples/own_runtime.py model.onnx photo.jpg`",
        (EXAMPLES, "test_another_runtime_finds_the_same_faces"),
    ),
    Expectation(
        "TensorBoard",
        "`facenas train --tensorboard`",
        ("cli/test_watching_a_training.py", "test_tensorboard_and_the_table_show_the_curve"),
    ),
    Expectation(
        "a web address as a source",
        "`facenas detect https://example.org/photo.jpg`",
        ("cli/test_photos_on_the_web.py", "test_a_photo_is_found_by_its_address"),
    ),
    Expectation(
        "a documentation site", "`make docs`", ("test_site.py", "test_the_site_builds_and_no_link_of_it_is_dead")
    ),
)


def markdown() -> str:
    """The page."""
    yes = sum(each.test is not None for each in EXPECTATIONS)
    rows = "".join(f"| {each.what} | {'yes' if each.test else 'no'} | {each.how} |\n" for each in EXPECTATIONS)
    return (
        "# What you may expect\n\n"
        f"{len(EXPECTATIONS)} things that a user of ultralytics, optuna, Olive, rf-detr or uniface tries first: {yes}\n"
        f"yes, {len(EXPECTATIONS) - yes} no. A test runs every yes; this page is written from the table in\n"
        "`tests/test_expectations.py`.\n\n"
        f"| | | how |\n|---|---|---|\n{rows}"
    )


def test_the_page_is_that_of_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("expectation", [each for each in EXPECTATIONS if each.test], ids=lambda each: each.what)
def test_a_test_runs_it(expectation: Expectation) -> None:
    assert expectation.test is not None
    file, name = expectation.test
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1
    assert any(isinstance(node, ast.Assert) for node in ast.walk(found[0]))


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
