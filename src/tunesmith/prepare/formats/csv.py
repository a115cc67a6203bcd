"""Delimited text: CSV, TSV and their relatives, with or without a header, with or without quotes."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from tunesmith.core.example import Example
from tunesmith.core.format import Match, Reject, Sample
from tunesmith.prepare.formats._csv_dialect import guess_dialect, has_header
from tunesmith.prepare.formats._csv_rows import Dialect, Row, place_of, rows_of
from tunesmith.prepare.formats._faults import SKIP, RowFault, refuse
from tunesmith.prepare.formats._record_format import SAMPLED, RecordFormat, empty_split
from tunesmith.prepare.formats._records import Record, value_of
from tunesmith.prepare.text_files import lines_of, sample_of


class Csv(RecordFormat):
    """One row a line, or more where quotes hold line breaks. Every field stays text: `007` is never a 7."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""
    delimiter: str | None = None
    """The character between fields; detected where absent."""
    quoting: bool | None = None
    """Whether `"` encloses fields; else it is a character like any other."""
    header: bool | None = None
    """Whether the first row names the columns; else they are 1, 2, 3, ..."""

    def resembles(self, sample: Sample) -> float:
        """By the ending of the name, else because nearly all rows have the same number of fields."""
        if not sample.encoding:
            return 0.0
        if sample.suffix in (".csv", ".tsv"):
            return 0.8
        _, share, _ = guess_dialect(sample.lines[:200], delimiter=self.delimiter, quoting=self.quoting)
        return 0.5 if share > 0.95 else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Dialect, header and columns."""
        if not sample.encoding:
            return None
        dialect, _, notes = guess_dialect(sample.lines[:2000], delimiter=self.delimiter, quoting=self.quoting)
        rows = [row for row in islice(rows_of(sample.lines, dialect), SAMPLED) if row.fault is None]
        if not sample.complete and len(rows) > 1:
            rows.pop()  # it may be cut
        if not rows:
            return None
        header = has_header(rows) if self.header is None else self.header
        names = _names(rows[0], header=header, path=sample.path)
        if self.header is None:
            notes.append(f"the first row is {'a header' if header else 'data: columns are 1, 2, 3, ...'}")
        width = len(names)
        records: list[Record] = [
            dict(zip(names, row.fields, strict=True)) for row in rows[header:] if len(row.fields) == width
        ]
        return self.filled(
            self._sampled(records),
            sample.path,
            notes=(*sample.notes, *notes),
            has_names=header,
            also={
                "encoding": sample.encoding,
                "delimiter": dialect.delimiter,
                "quoting": dialect.quoting,
                "header": header,
            },
        )

    def _sampled(self, records: list[Record]) -> list[Record]:
        """The rows of the wanted split, if their column is known already."""
        chosen = [record for record in records if self.chosen(record)]
        return chosen or records

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a row."""
        if None in (self.encoding, self.delimiter, self.quoting, self.header):
            yield from self.completed(path, self.sniff(sample_of(path, encoding=self.encoding))).read(
                path, reject=reject
            )
            return
        dialect = Dialect(self.delimiter or ",", bool(self.quoting))
        rows = rows_of(lines_of(path, self.encoding or "utf-8-sig"), dialect)
        first = next(rows, None)
        if first is None:
            return
        names = _names(first, header=bool(self.header), path=path)
        if not self.header:
            rows = _again(first, rows)
        yield from self._examples(rows, names, path, dialect, reject)

    def _examples(
        self, rows: Iterator[Row], names: Sequence[str], path: Path, dialect: Dialect, reject: Reject | None
    ) -> Iterator[Example]:
        reader, width = self.reader(path), len(names)
        found = False
        splits: dict[str, None] = {}
        for row in rows:
            try:
                if row.fault is not None:
                    raise row.fault
                if len(row.fields) != width:
                    raise _ragged(row, width, dialect)
                record = dict(zip(names, row.fields, strict=True))
                if self.split:
                    splits[str(value_of(record, self.columns.split_column or ""))] = None
                    if not self.chosen(record):
                        continue
                    found = True
                example = reader.example(record, row.line)
            except RowFault as fault:
                line, column = _place(row, fault, names, dialect)
                refuse(fault.located(path, line, column), "".join(row.raw), reject)
                continue
            yield example
        if self.split and not found:
            raise empty_split(path, self.split, list(splits))


def _again(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _names(row: Row, *, header: bool, path: Path) -> list[str]:
    """The names of the columns; one without a name is called after its position."""
    if row.fault is not None:
        raise row.fault.located(path, row.line, row.fault.offset + 1)
    if not header:
        return [str(index) for index in range(1, len(row.fields) + 1)]
    names = [cell.strip() or f"column {index}" for index, cell in enumerate(row.fields, 1)]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise RowFault(
            f"two columns are called {twice!r}",
            code="TS-DATA-010",
            fix="rename one, or set header = false and call the columns 1, 2, 3, ...",
        ).located(path, row.line, 1)
    return names


def _ragged(row: Row, width: int, dialect: Dialect) -> RowFault:
    has = len(row.fields)
    quotes = "put fields that hold the delimiter or a line break in quotes"
    if not dialect.quoting:
        quotes = "remove stray delimiters and line breaks from the fields"
    return RowFault(
        f"the row has {has} field{'' if has == 1 else 's'}, the first row {width}",
        code="TS-DATA-010",
        fix=f"{quotes}, {SKIP}.",
        offset=min(has, width),
    )


def _place(row: Row, fault: RowFault, names: Sequence[str], dialect: Dialect) -> tuple[int, int]:
    if row.fault is not None:
        return row.line, fault.offset + 1
    if fault.code == "TS-DATA-010":
        return place_of(row, fault.offset, dialect)
    if fault.key in names:
        return place_of(row, names.index(fault.key), dialect)
    return row.line, 1
