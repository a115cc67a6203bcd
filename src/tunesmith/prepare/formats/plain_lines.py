"""One text a line, without labels: for prediction and for unlabelled text."""

from collections.abc import Iterator
from pathlib import Path

from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example, Source
from tunesmith.core.format import Format, Match, Reject, Sample
from tunesmith.prepare.formats._faults import RowFault, check_text, refuse
from tunesmith.prepare.text_files import lines_of, sample_of


class PlainLines(Format):
    """Every line that is not blank is a text."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""

    def resembles(self, sample: Sample) -> float:
        """Any text file could be one."""
        return 0.05 if sample.encoding else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Only where the task is given: nothing can be learnt from texts alone."""
        if not sample.encoding:
            return None
        if self.task is None:
            raise DataError(
                "no labels were found: it reads like one text a line",
                code="TS-DATA-008",
                place=Place(file=str(sample.path)),
                fix="set `format` and the columns if it has labels; to read texts alone, set `task`.",
            )
        filled = self.model_copy(update={"encoding": sample.encoding})
        return Match(filled, self.task, (*sample.notes, "one text a line, without labels"))

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a line."""
        encoding = self.encoding or sample_of(path).encoding
        for number, line in enumerate(lines_of(path, encoding), 1):
            text = line.rstrip("\r\n")
            if not text.strip():
                continue
            try:
                check_text(text, "text")
            except RowFault as fault:
                refuse(fault.located(path, number, fault.offset + 1), line, reject)
                continue
            yield Example(id=f"{path.name}:{number}", text=text, source=Source(str(path), number))
