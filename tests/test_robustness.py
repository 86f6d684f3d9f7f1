"""What was thrown at facenas, kind by kind: what came of it before, what comes of it now, where it was mended, and the test.

docs/robustness.md is written from this table: `python tests/test_robustness.py`. Each row's test runs its smallest case.
"""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/robustness.md"


class Kind(NamedTuple):
    """`mended`: files, below facenas/ or exporters/; `test`: its file below tests/ and the function; `siblings`: what else of
    the kind was found, and behaves now."""

    name: str
    case: str
    before: str
    after: str
    mended: tuple[str, ...]
    siblings: str
    test: tuple[str, str]


DETECT = "cli/test_what_is_thrown_at_detect.py"
LABELS = "data/test_labels_that_cannot_be_right.py"
SMALLEST = "cli/test_smallest_cases.py"
KINDS = (
    Kind(
        "output on input",
        "`detect own --out own`",
        "the photos of `own` are overwritten",
        "each is refused by name, nothing is written over a photo, through links neither",
        ("steps/copies.py", "files.py"),
        "three photos of one name in two folders; `export --out` on its checkpoint; `verify --out` on its model",
        (DETECT, "test_no_photo_is_drawn_over"),
    ),
    Kind(
        "one bad neighbour",
        "a truncated `3.jpg` in a folder, a dangling link, a folder `x.jpg`",
        "nothing of the others is printed",
        "results of all others, the bad ones named, exit code 2",
        ("detector/sources.py", "steps/detect.py"),
        "`evaluate`, `verify`, calibration, `appraise`, trainings, the comparison of detectors",
        (DETECT, "test_a_bad_neighbour_costs_nobody_else_anything"),
    ),
    Kind(
        "an estimate as a promise",
        "a video that was cut without being encoded anew",
        "'ends early, copy the file again', and the sources after it are skipped",
        "the file's own boxes say whether it is cut off; the others go on",
        ("data/video.py",),
        "a video that ends early gives what it holds; the sources after it are looked at",
        (DETECT, "test_a_video_is_cut_off_where_its_boxes_say_so"),
    ),
    Kind(
        "identity of a photo",
        "a header for each box instead of each photo",
        "AP .043 instead of 1, photos in both parts",
        "the faces of one photo are put together",
        ("data/labelv2.py", "data/combine.py"),
        "links, joined sets, `--data` against `--val`",
        (LABELS, "test_a_header_a_face_is_one_photo"),
    ),
    Kind(
        "folders that are links",
        "linked `WIDER_val/images`",
        "easy, medium and hard turn into `all` without a word",
        "links are followed, each real folder once; a weaker protocol is said with its reason",
        ("data/folder.py", "evaluation/evaluation_set.py"),
        "linked sets, calibration photos, official files that match no photo",
        ("evaluation/test_wider.py", "test_linked_photos_are_judged_by_the_official_settings"),
    ),
    Kind(
        "two ways in, two rules",
        "a PIL image with an EXIF orientation",
        "1 face instead of 26",
        "the same faces as from the file",
        ("data/image.py", "detector/face_detector.py"),
        "16-bit, palette and CMYK images; sizes that labels are checked against",
        ("detector/test_face_detector.py", "test_a_pil_image_is_turned_as_its_file_is"),
    ),
    Kind(
        "text given to a renderer",
        "`party [raw].jpg`",
        "the name is lost, or a traceback with all results",
        "names are text: in tables, progress, messages and pages",
        ("cli/output.py", "errors.py", "report/markup.py"),
        "escape sequences and line feeds in names, labels, replies and files",
        (DETECT, "test_names_are_text_and_no_markup"),
    ),
    Kind(
        "arguments checked in one place",
        "`FaceDetector(..., long_side_px=100000)`",
        "22 GiB, silence or TypeError",
        "refused in a line, as on the command line",
        ("detector/face_detector.py",),
        "0, negative numbers, not a number, a text as a score",
        ("detector/test_face_detector.py", "test_a_long_side_that_cannot_be_is_refused"),
    ),
    Kind(
        "guesses at the machine",
        "a container of half a core and 1 GB",
        "as many threads as the host has cores, a cache of 6 GB",
        "quota, OMP_NUM_THREADS and the container's memory are kept to",
        ("cgroup.py", "devices/cpu.py", "training/photo_memory.py"),
        "cgroup v1 and v2",
        ("test_cgroup.py", "test_memory_that_a_container_leaves"),
    ),
    Kind(
        "shared folders without a lock",
        "two trainings with one `--out`",
        "one traceback, one 'success' over mixed files",
        "the second is refused with the number of the first's process",
        ("locks.py",),
        "`run`, `rank`, `appraise`, `profile`, calibrations",
        (SMALLEST, "test_two_runs_do_not_share_a_folder"),
    ),
    Kind(
        "bare system calls",
        "`train --out photo.jpg`, `/dev/null/x`",
        "a traceback",
        "one line with the place and the reason",
        ("files.py", "cli/main.py"),
        "names that are too long, no HOME, a user without a name",
        ("cli/test_where_words_go.py", "test_a_folder_that_cannot_be_made_is_one_line"),
    ),
    Kind(
        "silence where a word is due",
        "`--resume` after the labels were changed",
        "the training goes on as if nothing were",
        "refused",
        ("training/loop.py",),
        "files of a folder that are skipped, photos without a face that counts, a pickled FaceDetector",
        ("training/test_loop.py", "test_other_data_in_the_folder_is_refused"),
    ),
    Kind(
        "whole but wrong files",
        "whole numbers of 5,000 digits, JSON a thousand deep, NaN",
        "hundreds of tracebacks in some 2,000 damaged files, crashes, 8 GB",
        "0 tracebacks, hangs or growth above 100 MB in 200 of each of 17 kinds (`make test-all`)",
        ("files.py", "typed_json.py", "evaluation/official_truth.py"),
        "tables, run folders, searches, rankings, states, journals, devices, labels, `.mat`, checkpoints, models, photos",
        ("test_attack.py", "test_damaged_files_are_refused_in_one_line"),
    ),
    Kind(
        "replies that lie",
        "an `ssh` that says an exit code of 6,000 digits",
        "14 of 18 lies went wrong: tracebacks, 2 GB, 97 s, escape sequences",
        "25 lies of an `ssh`: one line, exit code 2, no growth; a greeting that never comes is given up in time",
        ("remote/agent_session.py", "remote/transport.py", "remote/device_state.py"),
        "infinite facts, an agent that ends after its greeting, times and states that are none, outputs of other shapes",
        ("cli/test_false_ssh.py", "test_a_false_ssh_is_refused_in_one_line"),
    ),
    Kind(
        "two writers",
        "twenty `device add` at once",
        "all exit with 0, five devices are kept",
        "twenty are kept",
        ("devices/own_devices.py", "locks.py"),
        "an OpenVINO export killed between its two files",
        ("devices/test_many_at_once.py", "test_of_devices_added_at_once_none_is_lost"),
    ),
    Kind(
        "a kill",
        "kill -9 at ten random moments of `export` and of `bench`",
        "a new .bin beside an old .xml: neither works",
        "the old file or the new one, whole; nothing else stays, no process either",
        ("files.py", "bench/builds.py"),
        "profile, search, train, run, rank, appraise: nothing measured is lost or counted twice",
        ("steps/test_kills_at_random.py", "test_an_export_leaves_the_old_file_or_the_new_one"),
    ),
    Kind(
        "a full disk",
        "no room for a profile's journal",
        "a traceback, all carriers lost, a hang of 200 s",
        "one line, and what was measured is kept",
        ("line_journal.py", "latency/profiler.py"),
        "trainings, a full disk on a device elsewhere",
        ("cli/test_profile.py", "test_a_full_disk_is_one_line_and_keeps_what_was_measured"),
    ),
    Kind(
        "code that is not ours",
        "a `json.py` in the working folder",
        "`run`, `profile` and `calibrate` run it",
        "no process that is started looks there",
        ("runtimes/local_agent.py", "runtimes/peak_memory.py", "evaluation/official_truth.py"),
        "Ray's workers; a photo that begins with %!PS is handed to no Ghostscript",
        (SMALLEST, "test_python_files_of_the_working_folder_are_not_run"),
    ),
    Kind(
        "doors",
        "`rank` with a Ray of its own",
        "ports on all interfaces",
        "all are on loopback unless a cluster is joined",
        ("ranking/workers.py",),
        "code of the working folder in Ray's workers",
        ("ranking/test_ray_is_ours_alone.py", "test_all_ports_are_on_loopback_and_no_foreign_code_runs"),
    ),
    Kind(
        "calls home",
        "an export to OpenVINO",
        "asks an analytics host, and leaves an identity in the home folder",
        "no host is asked for (`FACENAS_TELEMETRY=allow` allows it)",
        ("telemetry.py",),
        "ONNX Runtime during `detect`, NNCF",
        ("test_telemetry.py", "test_no_host_is_asked_for_and_no_identity_is_left"),
    ),
    Kind(
        "resuming",
        "a damaged line in the middle of a journal",
        "288 lines become 67 without a word",
        "that line alone is lost, and told",
        ("line_journal.py", "files.py"),
        "links planted for temporary files, threads that write one file, permissions of a replaced file",
        ("test_line_journal.py", "test_a_damaged_line_costs_itself_only"),
    ),
    Kind(
        "names from inside a file",
        "`report table t.json` whose target is `../outside`",
        "writes outside of the folder",
        "writes in the folder, or refuses the table",
        ("cli/report.py",),
        "names of photos in labels that lead elsewhere",
        (SMALLEST, "test_a_table_is_drawn_where_it_lies_whatever_target_it_names"),
    ),
    Kind(
        "a gate that compared nothing",
        "`verify` on photos without faces",
        "'boxes passed 1' of 0 faces",
        "not measured, and `run` does not pass",
        ("evaluation/gates.py", "evaluation/parity.py"),
        "average precision of no face, a reference that finds none, a setting without faces in `evaluate`",
        ("evaluation/test_verification.py", "test_gates_that_compared_nothing_are_not_measured"),
    ),
    Kind(
        "a gate that rests on chance",
        "int8 on 60 photos: a drop of .0096 with an error of .0056",
        "FAILED, or passed, by the choice of photos",
        "not measured, with how many photos would tell",
        ("evaluation/chance.py", "evaluation/gates.py"),
        "`compare` advised files whose gates were not decided",
        ("evaluation/test_chance.py", "test_few_photos_neither_pass_nor_fail"),
    ),
    Kind(
        "the number of another machine",
        "`verify` on another CPU than the table's",
        "fails by -31 %, and does not say whose table it was",
        "measured anew here, or told whose it is",
        ("latency/this_machine.py", "steps/tables.py"),
        "every verb that takes a table goes through one door",
        ("latency/test_this_machine.py", "test_never_takes_it_as_it_is_and_says_so"),
    ),
    Kind(
        "WIDER FACE as it is downloaded",
        "`wider_face_split` with `wider_face_val.mat` alone",
        "'cannot read wider_easy_val.mat, download it again'",
        "judged on all faces, and what is missing is said",
        ("evaluation/evaluation_set.py",),
        "a folder of both parts, `--data W --val W`",
        ("evaluation/test_wider.py", "test_wider_as_it_is_downloaded_is_judged_on_val_and_says_what_is_missing"),
    ),
    Kind(
        "labels that cannot be right",
        "boxes as x y w h, or as shares of the sides",
        "AP 0, and a training that learns nothing",
        "the photo and the likeliest order are named; `--strict` refuses",
        ("data/label_doubts.py",),
        "each face on two lines, faces under a pixel, `--landmarks` without a landmark",
        (LABELS, "test_another_order_of_numbers_is_named"),
    ),
    Kind(
        "a tenth of few",
        "one to five photos without `--val`",
        "IndexError after the training, or no validation and no word",
        "one photo is held out, or it is refused before any work",
        ("training/photos.py",),
        "`run` and `train` alike",
        ("training/test_photos.py", "test_of_few_photos_one_is_held_out_or_it_is_refused"),
    ),
    Kind(
        "one door checks, another does not",
        "`run --seed -1`, `--epochs 0`, `--paste 100000`",
        "ValueError, 12 epochs, no end",
        "the record checks itself, so all doors do",
        ("training/recipe.py",),
        "`--crop 1000000`, `rank --seed -1`",
        (SMALLEST, "test_every_door_refuses_what_the_recipe_cannot_be"),
    ),
    Kind(
        "'finished work is kept'",
        "SIGTERM in the first minute of a training",
        "nothing is kept, nothing is said",
        "the step is finished and saved, and which one is said",
        ("training/stopping.py",),
        "Ctrl-C, SIGHUP, `--resume` of nothing",
        ("training/test_loop.py", "test_a_training_that_is_stopped_keeps_its_step"),
    ),
    Kind(
        "a file that its maker refuses",
        "`export --format tflite --dynamic`",
        "exit code 0, and no command reads the file",
        "every combination is read by `detect`, or refused at the export",
        ("steps/export.py",),
        "names with another format's suffix, weights that are not finite",
        ("steps/test_every_export_is_read.py", "test_open_sizes_work_or_are_refused"),
    ),
    Kind(
        "where words go",
        "a photo named in Chinese, `PYTHONIOENCODING=cp1252`",
        "a traceback",
        "what an encoding lacks is escaped",
        ("cli/output.py",),
        "a reader that has gone, a stdout that takes nothing, passwords in stream addresses",
        ("cli/test_where_words_go.py", "test_no_character_is_too_much_for_an_encoding"),
    ),
    Kind(
        "int8 from photos that say nothing",
        "calibration photos of one grey",
        "a file that finds no face, exit code 0",
        "a word where they hold no spread or no face",
        ("exporters/calibration_photos.py", "steps/export.py"),
        "too few photos",
        ("steps/test_every_export_is_read.py", "test_calibration_photos_that_say_nothing_get_a_word"),
    ),
)


def place(file: str) -> Path:
    """Where a mended file lies."""
    return ROOT / file if file.startswith("exporters/") else ROOT / "facenas" / file


def markdown() -> str:
    """The page."""
    rows = "".join(
        f"| {kind.name} | {kind.case} | {kind.before} | {kind.after} | {', '.join(f'`{file}`' for file in kind.mended)} "
        f"| {kind.siblings} | `{kind.test[0]}` |\n"
        for kind in KINDS
    )
    return (
        "# What was thrown at it\n\n"
        f"{len(KINDS)} kinds of trouble that people reported of such tools, or that an attack found in this one: the smallest\n"
        "case, what came of it before it was mended, and what comes of it now, which a test runs. Mended files lie below\n"
        "`facenas/` (or are those of `exporters/`), tests below `tests/`; `make test-all` runs those that take minutes, too.\n"
        "This page is written from the table in `tests/test_robustness.py`.\n\n"
        "| kind | smallest case | before | now | mended in | siblings that were found | test |\n"
        f"|---|---|---|---|---|---|---|\n{rows}"
    )


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_test_runs_the_smallest_case(kind: Kind) -> None:
    assert all(place(file).is_file() for file in kind.mended), kind.mended
    file, name = kind.test
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1
    assert any(isinstance(node, ast.Assert | ast.With) for node in ast.walk(found[0]))


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
