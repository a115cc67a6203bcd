"""Opening text that a stranger wrote: which encoding, which line ends, and line numbers an editor agrees with.

UTF-8 (with or without a byte-order mark), UTF-16 and UTF-32 with one, GB18030, Windows-1252 and Latin-1 are told
apart over the whole file, not over its beginning: one byte in the middle decides. Lines end at LF, CR or CRLF.
"""

import codecs
import difflib
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tunesmith.core.errors import ConfigError, DataError, MissingInputError, Place
from tunesmith.core.format import Sample

SAMPLE_LINES = 20_000
SAMPLE_CHARACTERS = 2_000_000
_CHUNK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ESCAPED = re.compile("[\udc80-\udcff]")
_COMMON = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "gb18030", "gbk", "big5", "shift_jis", "euc_kr")


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file with their ends. Bytes that are not UTF-8 come as lone surrogates, for the row to report.

    Raises:
        MissingInputError: the file is not there or may not be read.
        DataError: bytes that the (other) encoding has no meaning for.
    """
    errors = "surrogateescape" if encoding in ("utf-8", "utf-8-sig") else "strict"
    number = 0
    try:
        with path.open(encoding=encoding, errors=errors, newline="") as file:
            for line in file:
                number += 1
                yield line
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.object[error.start]:#04x} has no meaning in {encoding}",
            code="TS-DATA-006",
            place=Place(file=str(path), line=number + 1),
            fix='leave `encoding` out to have it detected, or name the right one, e.g. encoding = "latin-1".',
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None


def sample_of(path: Path, *, encoding: str | None = None) -> Sample:
    """The beginning of a file and its encoding.

    Raises:
        MissingInputError: the file is not there or may not be read.
        DataError: the file is empty.
        ConfigError: no such encoding.
    """
    try:
        if path.is_dir():
            return Sample(path=path)
        with path.open("rb") as file:
            magic = file.read(4096)
    except OSError as error:
        raise unreadable(path, error) from None
    if not magic.strip(codecs.BOM_UTF8 + b" \t\r\n"):
        _refuse_blank(path, magic)
    notes: tuple[str, ...] = ()
    if encoding is None:
        if _is_binary(magic):
            return Sample(path=path, magic=magic)
        encoding, notes = encoding_of(path)
    else:
        encoding = known_encoding(encoding)
    lines, complete = _beginning(path, encoding)
    return Sample(path=path, lines=lines, encoding=encoding, complete=complete, magic=magic[:16], notes=notes)


def known_encoding(name: str) -> str:
    """The encoding's own name, UTF-8 always as the variant that skips a byte-order mark.

    Raises:
        ConfigError: no such encoding.
    """
    try:
        found = codecs.lookup(name).name
        "".encode(found)
    except LookupError:
        near = difflib.get_close_matches(name.lower(), _COMMON, n=1)
        raise ConfigError(
            f"no encoding is called {name!r}",
            code="TS-CONF-021",
            place=Place(key="data.encoding"),
            fix=(f"did you mean {near[0]!r}? " if near else "") + f"Common ones: {', '.join(_COMMON)}.",
        ) from None
    return "utf-8-sig" if found in ("utf-8", "utf-8-sig") else found


def encoding_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """The encoding of a text file and a note where it is not plain UTF-8."""
    with path.open("rb") as file:
        mark = file.read(4)
    for bytes_, name in _MARKS:
        if mark.startswith(bytes_):
            return name, (f"encoding {name.removesuffix('-sig')} (its byte-order mark is skipped)",)
    if _decodes(path, "utf-8"):
        return "utf-8-sig", ()
    good, bad = _damage(path)
    if good > 10 * bad:
        note = f"encoding UTF-8, but {bad} byte(s) are not: those rows are reported"
        return "utf-8-sig", (note,)
    if _looks_chinese(path) and _decodes(path, "gb18030"):
        return "gb18030", ("encoding gb18030 (not UTF-8; the bytes are pairs as Chinese text has them)",)
    windows = any(byte in chunk for chunk in _chunks(path) for byte in _WINDOWS)
    name = "cp1252" if windows and _decodes(path, "cp1252") else "latin-1"
    return name, (f"encoding {name} (not UTF-8: {bad} byte(s) beyond ASCII; set `encoding` if letters look wrong)",)


def unreadable(path: Path, error: OSError) -> MissingInputError:
    """The refusal for a file that the system does not give."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return MissingInputError(
        "there is no such file" if missing else f"cannot be read: {error.strerror or error}",
        code="TS-DATA-001" if missing else "TS-DATA-003",
        place=Place(file=str(path)),
        fix=_nearest(path) if missing else "check the permissions of the file and of its folder.",
    )


_WINDOWS = tuple(bytes((code,)) for code in range(0x80, 0xA0))


def _nearest(path: Path) -> str:
    try:
        names = sorted(item.name for item in path.parent.iterdir())
    except OSError:
        return f"there is no folder {path.parent} either: check the path."
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else "check the path."


def _refuse_blank(path: Path, magic: bytes) -> None:
    if len(magic) == 4096 and any(chunk.strip() for chunk in _chunks(path)):
        return
    raise DataError(
        "the file is empty" if not magic else "the file holds only blank lines",
        code="TS-DATA-004",
        place=Place(file=str(path)),
        fix="give a file with at least one labelled row.",
    )


def _is_binary(magic: bytes) -> bool:
    if any(magic.startswith(mark) for mark, _ in _MARKS):
        return False
    known = (
        b"PAR1",
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"%PDF",
        b"\xd0\xcf\x11\xe0",
        b"BZh",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
    )
    return magic.startswith(known) or magic.count(0) > len(magic) // 10


def _beginning(path: Path, encoding: str) -> tuple[tuple[str, ...], bool]:
    taken: list[str] = []
    characters = 0
    stream = lines_of(path, encoding)
    for line in islice(stream, SAMPLE_LINES):
        taken.append(line)
        characters += len(line)
        if characters > SAMPLE_CHARACTERS:
            break
    return tuple(taken), next(stream, None) is None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _damage(path: Path) -> tuple[int, int]:
    """Characters beyond ASCII that are sound UTF-8, and bytes that are not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    good = bad = 0
    for chunk in _chunks(path):
        text = decoder.decode(chunk)
        escaped = len(_ESCAPED.findall(text))
        bad += escaped
        good += sum(character > "\x7f" for character in text) - escaped
    return good, bad


def _looks_chinese(path: Path) -> bool:
    """Whether most bytes beyond ASCII form pairs of the everyday GB2312 block."""
    pairs = high = 0
    for chunk in _chunks(path):
        high += sum(byte > 0x7F for byte in chunk)
        pairs += len(re.findall(rb"[\xa1-\xf7][\xa1-\xfe]", chunk))
    return 2 * pairs > 0.8 * high
