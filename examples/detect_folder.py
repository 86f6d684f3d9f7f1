"""The faces of all photos below a folder, as a CSV file: python detect_folder.py FOLDER FACES.csv [MODEL]"""

import csv
import sys
from pathlib import Path

from PIL import Image

import facenas

folder, out, model = Path(sys.argv[1]), Path(sys.argv[2]), (*sys.argv[3:], "facenas-12ms")[0]
detector = facenas.FaceDetector(model)

with out.open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(("photo", "score", "x1", "y1", "x2", "y2"))
    for path in sorted(folder.rglob("*.jpg")):
        faces = detector(Image.open(path))  # turned as its EXIF orientation says; boxes are in pixels of the photo
        for face in faces:
            table.writerow((path.relative_to(folder), f"{face.score:.3f}", *(f"{side:.1f}" for side in face.box)))
        print(f"{path.relative_to(folder)}: {len(faces)} faces")
