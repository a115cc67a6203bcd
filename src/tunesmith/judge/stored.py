"""Predictions on disk: one JSON object a line, written once, the only source of every later number."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import DataError, MissingInputError, NumericsError, Place, StorageError
from tunesmith.core.prediction import Prediction


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """Write predictions as JSONL, all or nothing, and say how many.

    Raises:
        StorageError: the disk is full or the folder may not be written.
        NumericsError: a prediction holds a number that is not finite.
    """
    rows = 0
    try:
        with replacing(path, errors="backslashreplace") as file:  # a lone surrogate stays JSON: \\ud800
            for prediction in predictions:
                file.write(_line(prediction, path, rows + 1))
                rows += 1
    except OSError as error:
        raise StorageError(
            f"predictions could not be written: {error.strerror}",
            code="TS-JUDGE-010",
            place=Place(file=str(path)),
            fix="free some space or choose another folder.",
        ) from error
    return rows


class StoredPredictions:
    """The predictions of a file, one at a time, as often as wanted."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Prediction]:
        """Read the file from its start.

        Raises:
            DataError: a line that `write_predictions` did not write.
        """
        return _read(self._path)


def read_predictions(path: Path) -> StoredPredictions:
    """The predictions of a file; iterating reads it anew.

    Raises:
        MissingInputError: no such file.
    """
    if not path.is_file():
        raise MissingInputError(
            "there are no stored predictions here",
            code="TS-JUDGE-011",
            place=Place(file=str(path)),
            fix="run `tunesmith train` or `tunesmith evaluate` first; both store them.",
        )
    return StoredPredictions(path)


def _line(prediction: Prediction, path: Path, number: int) -> str:
    try:
        line = json.dumps(prediction.as_record(), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NumericsError(
            f"a prediction holds a number that is not finite: {error}",
            code="TS-JUDGE-013",
            place=Place(file=str(path), line=number),
            fix="the model's weights are damaged or training diverged: train again with a lower learning rate.",
        ) from None
    return f"{line}\n"


def _read(path: Path) -> Iterator[Prediction]:
    with path.open("rb") as file:  # decoded line by line: a bad byte is damage that has a place, and no other label
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield Prediction.from_record(json.loads(line.decode()))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise DataError(
                    "not a stored prediction",
                    code="TS-JUDGE-012",
                    place=Place(file=str(path), line=number),
                    fix="the file was edited or damaged: write it again with `tunesmith evaluate`.",
                ) from None
