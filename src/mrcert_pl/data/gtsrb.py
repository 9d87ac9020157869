"""German traffic signs (GTSRB), in the folders that its archives unpack to."""

import csv
from pathlib import Path

from mrcert_pl.data.folders import FIRST_TEST_ID, ImageFiles, labelled_files
from mrcert_pl.data.records import Record
from mrcert_pl.data.splits import held_out
from mrcert_pl.errors import DataError

TRAINING, TESTING, TEST_LABELS = "gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Test/Images", "gtsrb/GT-final_test.csv"


def gtsrb(root: Path, classes: int, val_share: float) -> ImageFiles:
    """The 43 training folders, and the test images with the labels of the CSV file.

    The id of a training image is its position in the sorted paths; of a test image its row in the CSV file plus
    10,000,000.

    Raises:
        DataError: when a folder or file is missing, or the CSV file can't be understood.
    """
    folders = [f"{label:05d}" for label in range(classes)]
    training = [Record(i, *found) for i, found in enumerate(labelled_files(root, TRAINING, folders))]
    # 30 frames show the same sign while the car drives by (<track>_<frame>.ppm): never some here and some there.
    rest, val = held_out(training, val_share, group=lambda path: path.rpartition("_")[0])
    return ImageFiles(root, {"train": rest, "val": val, "test": _testing(root, classes)})


def _testing(root: Path, classes: int) -> list[Record]:
    file = root / TEST_LABELS
    if not (root / TESTING).is_dir():
        raise DataError(f"there is no folder {root / TESTING}")
    if not file.is_file():
        raise DataError(f"there is no file {file}, which has the labels of the test images")
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [
                (int(row["ClassId"]), f"{TESTING}/{row['Filename']}")
                for row in csv.DictReader(lines, delimiter=";", skipinitialspace=True)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} is not a table with the columns Filename and ClassId, separated by ';'") from error
    wrong = [label for label, _ in rows if not 0 <= label < classes]
    if wrong or not rows:
        raise DataError(f"{file} has {len(rows)} rows, {len(wrong)} of them with a ClassId outside 0 to {classes - 1}")
    return [Record(FIRST_TEST_ID + i, *row) for i, row in enumerate(rows)]
