"""The GGUF container of llama.cpp: a header of counted values, a table of tensors, and their blocks.

    header    "GGUF", I version (2 or 3), Q tensors, Q values
    value     string key, I type, content; a string is Q length and UTF-8; an array is I type, Q count, contents
    tensor    string name, I dimensions, Q[dimensions] sizes (the fastest first), I type, Q offset
    data      at the next multiple of `general.alignment` (32), each tensor at its offset

The header is read here, because every count in it is a stranger's: none is believed beyond the bytes that the file has.
Blocks are decoded by the `gguf` package. All numbers are little-endian.
Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import importlib
import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import MissingExtraError, ModelFileError, Place

MAX_VALUES: Final = 10_000
MAX_TENSORS: Final = 20_000
MAX_ITEMS: Final = 4_000_000
"""Of one array; the largest vocabularies have 260,000 pieces and 510,000 merges."""
_SCALARS: Final = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
_PLAIN: Final = {0: "<f4", 1: "<f2", 28: "<f8"}
"""Types of tensors that are no blocks, to what numpy calls them"""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a tensor lies in the file."""

    type: int
    shape: tuple[int, ...]
    """the slowest dimension first, as torch has it"""
    begin: int
    size: int
    """bytes"""


class GgufFile:
    """The parsed container; tensors are decoded when asked for."""

    def __init__(self, file: Path) -> None:
        """Map `file` into memory and read its header.

        Raises:
            ModelFileError: not this format, cut short, or with counts that the file cannot hold.
            MissingExtraError: the package gguf is not installed.
        """
        self.file = file
        self._types = _gguf("gguf.constants", file)
        self._quants = _gguf("gguf.quants", file)
        try:
            with file.open("rb") as stream:
                self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            self.values, self.tensors = self._read()
        except (struct.error, ValueError, UnicodeDecodeError, OverflowError) as error:
            raise self.damaged(str(error)) from None

    def tensor(self, name: str) -> NDArray[np.float32]:
        """A tensor in fp32.

        Raises:
            ModelFileError: of a type that the package gguf cannot decode.
        """
        stored = self.tensors[name]
        data = self._bytes[stored.begin : stored.begin + stored.size]
        if stored.type in _PLAIN:
            return np.frombuffer(data, _PLAIN[stored.type]).astype(np.float32).reshape(stored.shape)
        kind = self._types.GGMLQuantizationType(stored.type)
        rows = np.frombuffer(data, np.uint8).reshape(*stored.shape[:-1], -1)
        try:
            decoded: NDArray[np.float32] = self._quants.dequantize(rows, kind)
        except NotImplementedError:
            raise self.damaged(f"the tensor {name} is of the type {kind.name}, which cannot be decoded") from None
        return decoded.reshape(stored.shape)

    def damaged(self, what: str) -> ModelFileError:
        """The error of a file that cannot be used."""
        return ModelFileError(
            f"the GGUF file cannot be used: {what}",
            code="TS-MODEL-033",
            place=Place(file=str(self.file)),
            fix="copy or download it again; GGUF of Llama, Mistral, Qwen2 and GPT-2 models is read.",
        )

    def _read(self) -> tuple[dict[str, Any], dict[str, Stored]]:
        cursor = _Cursor(self._bytes, 4)
        if self._bytes[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        if (version := cursor.number("I")) not in (2, 3):
            raise ValueError(f"version {version} is unknown")
        tensors, values = cursor.count(MAX_TENSORS, of=24), cursor.count(MAX_VALUES, of=13)
        table: dict[str, Any] = {}
        for _ in range(values):
            key = cursor.text()
            if key in table:
                raise ValueError(f"the key {key[:80]!r} stands in it twice")
            table[key] = cursor.value(cursor.number("I"))
        entries = [self._entry(cursor) for _ in range(tensors)]
        alignment = table.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ValueError("general.alignment is no power of two")
        data = -(-cursor.at // alignment) * alignment
        found: dict[str, Stored] = {}
        for name, stored in entries:
            if name in found:
                raise ValueError(f"the tensor {name[:80]!r} stands in it twice")
            if data + stored.begin + stored.size > len(self._bytes):
                raise ValueError(f"the tensor {name[:80]!r} reaches beyond the end of the file")
            found[name] = Stored(stored.type, stored.shape, data + stored.begin, stored.size)
        return table, found

    def _entry(self, cursor: "_Cursor") -> tuple[str, Stored]:
        name, dimensions = cursor.text(), cursor.number("I")
        if not 1 <= dimensions <= 4:
            raise ValueError(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(int(cursor.number("Q")) for _ in range(dimensions))[::-1]
        kind, begin = cursor.number("I"), cursor.number("Q")
        try:
            block, size = self._types.GGML_QUANT_SIZES[self._types.GGMLQuantizationType(kind)]
        except (KeyError, ValueError):
            raise ValueError(f"the tensor {name[:80]!r} is of the unknown type {kind}") from None
        if min(shape) < 1 or shape[-1] % block:
            raise ValueError(f"the tensor {name[:80]!r} has rows of {shape[-1]}, which are no blocks of {block}")
        return name, Stored(int(kind), shape, int(begin), math.prod(shape) // block * size)


class _Cursor:
    """A place in the bytes that moves on as values are read."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self.data, self.at = data, at

    def number(self, form: str) -> Any:  # noqa: ANN401 - a number or a truth value
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return value

    def count(self, most: int, *, of: int) -> int:
        """A count of things that take `of` bytes or more each."""
        value = int(self.number("Q"))
        if value > most or value * of > len(self.data) - self.at:
            raise ValueError(f"its header counts {value} where at most {most} fit")
        return value

    def text(self) -> str:
        length = self.count(len(self.data), of=1)
        begin, self.at = self.at, self.at + length
        return self.data[begin : self.at].decode("utf-8")

    def value(self, kind: int) -> Any:  # noqa: ANN401 - whatever the file holds
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(self._form(kind))
        inner = self.number("I")
        if inner == _STRING:
            return [self.text() for _ in range(self.count(MAX_ITEMS, of=8))]
        form = self._form(inner)
        size = struct.calcsize(f"<{form}")
        count = self.count(MAX_ITEMS, of=size)
        begin, self.at = self.at, self.at + count * size
        return list(struct.unpack(f"<{count}{form}", self.data[begin : self.at]))

    def _form(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise ValueError(f"a value is of the unknown type {kind}")
        return _SCALARS[kind]


def _gguf(module: str, file: Path) -> Any:  # noqa: ANN401 - the package has no types
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise MissingExtraError(
            "GGUF files need the package gguf",
            code="TS-MODEL-034",
            place=Place(file=str(file)),
            fix='pip install "tunesmith[starter]"',
        ) from None
