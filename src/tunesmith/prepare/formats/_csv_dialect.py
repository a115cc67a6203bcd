"""Which delimiter, whether quotes mean anything, and whether the first row is a header."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from tunesmith.prepare.formats._csv_rows import Dialect, Row, rows_of
from tunesmith.prepare.formats._names import HEADER, folded
from tunesmith.prepare.formats._stats import ColumnStats

DELIMITERS = (",", "\t", ";", "|")
_LOOKED_AT = 400
_KNOWN = frozenset(map(folded, HEADER))


def guess_dialect(
    lines: Sequence[str], *, delimiter: str | None, quoting: bool | None
) -> tuple[Dialect, float, list[str]]:
    """The dialect under which most rows have the same number of fields, that share of rows (0 where no row has two
    fields), and notes."""
    best: tuple[float, float, Dialect] | None = None
    for candidate in (delimiter,) if delimiter else DELIMITERS:
        for quotes in (True, False) if quoting is None else (quoting,):
            dialect = Dialect(candidate, quotes)
            share, width = _regularity(lines, dialect)
            preferred = 0.001 * (quotes == _quotes_mean_something(lines, candidate))
            score = share + preferred if width > 1 else preferred
            if best is None or score > best[0] + 1e-9:
                best = (score, share if width > 1 else 0.0, dialect)
    assert best is not None
    dialect = best[2]
    name = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}.get(dialect.delimiter, repr(dialect.delimiter))
    notes = [f"fields are separated by {name}"] if delimiter is None and dialect.delimiter != "," else []
    if quoting is None and not dialect.quoting and any('"' in line for line in lines):
        notes.append("quotes are plain characters (quoting = false)")
    return dialect, best[1], notes


def _regularity(lines: Sequence[str], dialect: Dialect) -> tuple[float, int]:
    """The share of rows with the usual number of fields, and that number."""
    widths: Counter[int] = Counter()
    rows = 0
    # The last lines of a cut sample may lie inside a quoted field, so a fault there says nothing.
    for row in islice(rows_of(lines, dialect), _LOOKED_AT):
        rows += 1
        widths[len(row.fields) if row.fault is None else 0] += len(row.raw) if row.fault is None else 1
    if not rows:
        return 0.0, 0
    (width, count), total = widths.most_common(1)[0], sum(widths.values())
    return count / total, width


def _quotes_mean_something(lines: Sequence[str], delimiter: str) -> bool:
    """Between tabs quotes are usually plain text; they count where every field that begins with one is closed."""
    if delimiter != "\t":
        return True
    fields = [field for line in lines[:_LOOKED_AT] for field in line.rstrip("\r\n").split("\t")]
    quoted = [field for field in fields if field.startswith('"')]
    return bool(quoted) and all(len(f) > 1 and f.endswith('"') and f[1:-1].count('"') % 2 == 0 for f in quoted)


def has_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns: by known names, else because it is unlike the rows below it."""
    first, rest = rows[0].fields, [row.fields for row in rows[1:] if len(row.fields) == len(rows[0].fields)]
    cells = [cell.strip() for cell in first]
    if len({cell for cell in cells if cell}) < sum(map(bool, cells)) or any(len(cell) > 60 for cell in cells):
        return False
    columns = [ColumnStats(str(index), [fields[index] for fields in rest]) for index in range(len(cells))]
    again = any(c.label_like and cell in c.flat for cell, c in zip(cells, columns, strict=True))
    if again:
        return False
    if any(folded(cell) in _KNOWN for cell in cells):
        return True
    return any(_unlike(cell, column) for cell, column in zip(cells, columns, strict=True))


def _unlike(cell: str, column: ColumnStats) -> bool:
    if not cell or cell in column.flat or not column.flat:
        return False
    number = cell.replace(".", "", 1).lstrip("-").isdigit()
    return (column.numeric and not number) or (len(cell) <= 25 and column.length > max(20.0, 3 * len(cell)))
