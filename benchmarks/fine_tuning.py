"""What does fine-tuning give on one's own photos, and what does it take elsewhere?

    python benchmarks/fine_tuning.py --data SET [--data SET] --val WIDER_val [--init facenas-12ms] [--held-out .314] [--out F]

A share of the labelled photos takes no part. The others are trained on as by `facenas train --init`: a tenth of them says
which weights are the best. The detector before and after is judged on the photos that took no part and on `--val`, both
scaled to a long side of 640 px.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from script import about_this_run, run_script

import facenas
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.data.annotations import LabelledPhoto, join_datasets, split_dataset
from facenas.data.labelv2 import labelv2_text
from facenas.data.source import open_dataset
from facenas.files import write_json
from facenas.training.recipe import fine_tuning_recipe

SETTINGS = ("easy", "medium", "hard")


def write_set(folder: Path, photos: Sequence[LabelledPhoto]) -> Path:
    """A labelv2 set of links to the photos, whatever they are called."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for index, photo in enumerate(photos):
        name = f"{index:05d}{photo.path.suffix}"
        (folder / "images" / name).symlink_to(photo.path.resolve())
        lines.append(labelv2_text(name, (photo.width_px, photo.height_px), photo.labels))
    (folder / "labelv2.txt").write_text("".join(lines))
    return folder


@dataclass(frozen=True)
class Judged:
    """Average precisions by setting, on the photos that took no part and elsewhere; `learning_rate` None: before."""

    learning_rate: float | None
    held_out: Mapping[str, float | None]
    elsewhere: Mapping[str, float | None]

    def cells(self) -> list[str]:
        """As a row of the table."""
        found = self.held_out["all"], *(self.elsewhere.get(name) for name in SETTINGS)
        figures = ("" if ap is None else f"{ap:.3f}" for ap in found)
        return ["before" if self.learning_rate is None else f"{self.learning_rate:g}", *figures]


def main(
    data: Annotated[list[Path], typer.Option(help="labelled photos; repeatable")],
    val: Annotated[Path, typer.Option(help="other labelled photos, for example WIDER_val")],
    init: Annotated[str, typer.Option(help="detector that is fine-tuned")] = "facenas-12ms",
    held_out: Annotated[float, typer.Option(help="share of the photos that takes no part", min=0.01, max=0.9)] = 0.314,
    epochs: Annotated[int, typer.Option(help="how often every photo is shown")] = 5,
    rate: Annotated[list[float] | None, typer.Option(help="learning rates (default: that of `train --init`)")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Fine-tune, judge before and after."""
    train_on, rest = split_dataset(join_datasets("photos", [open_dataset(each) for each in data]), held_out)
    with progress_bar() as progress, TemporaryDirectory() as temporary:
        folder = Path(temporary)
        trained, untouched = write_set(folder / "train", train_on.photos), write_set(folder / "rest", rest.photos)

        def judged(model: Path | str, learning_rate: float | None = None) -> Judged:
            own, other = (
                facenas.evaluate(model, each, protocol="vga", progress=progress).average_precisions
                for each in (untouched, val)
            )
            return Judged(learning_rate, own, other)

        rows = [judged(init)]
        for learning_rate in rate or [fine_tuning_recipe().learning_rate]:
            recipe = replace(fine_tuning_recipe(), epochs=epochs, learning_rate=learning_rate)
            settings, run = facenas.TrainingSettings(init=init), folder / f"{learning_rate:g}"
            result = facenas.train(None, trained, recipe=recipe, settings=settings, out=run, progress=progress)
            facenas.export(result.checkpoint, out=run / "model.onnx")
            rows.append(judged(run / "model.onnx", learning_rate))
    columns = ("learning rate", f"AP, {len(rest.photos)} held out", *(f"{val.name}, {name}" for name in SETTINGS))
    print_table(f"{init}, {epochs} epochs of {len(train_on.photos)} photos", columns, [row.cells() for row in rows])
    if out is not None:
        counts = {"detector": init, "epochs": epochs, "trained_on": len(train_on.photos), "held_out": len(rest.photos)}
        write_json(out, about_this_run() | counts | {"judged": [asdict(row) for row in rows]})


if __name__ == "__main__":
    run_script(main)
