"""Reading the multilingual starter's container, on a tiny one written here."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tunesmith.core.errors import ModelFileError, StorageError
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.e5_file import E5File
from tunesmith.models.made_once import cache_folder
from tunesmith.models.multilingual import converted, hub_tensor_name

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁a"]


def container(tensors: dict[str, np.ndarray], four_bit: dict[str, bytes]) -> bytes:
    """The bytes of a file with these fp32 tensors and these packed ones (32 weights each)."""
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 1, 2, 64, len(PIECES), 8, 2, 1e-12, 32)
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)]).astype("<u4")
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1])) + offsets.tobytes()
    head += np.linspace(0, -7, len(PIECES)).astype("<f4").tobytes() + b"".join(texts)
    mapped = struct.pack("<IB", 0, 0) + struct.pack("<IBI", 0x2581, 1, 0x20) + struct.pack("<IBI", 0xFF5E, 1, 0xFF5E)
    head += struct.pack("<iI", 3, len(mapped)) + mapped
    data = [(name, 0, array.size, array.astype("<f4").tobytes()) for name, array in tensors.items()]
    data += [(name, 1, 32, packed) for name, packed in four_bit.items()]
    size = len(head) + 4 + sum(2 + len(name) + struct.calcsize("<BIQQ") for name, *_ in data)
    table, body = struct.pack("<i", len(data)), b""
    for name, kind, count, content in data:
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", kind, count, size + len(body), len(content))
        body += content
    return head + table + body


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the installed package, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "package"
    folder.mkdir()
    tensors = {
        "emb.word": np.arange(256.0),
        "emb.ln.w": np.ones(32),
        "l0.fo.w": np.arange(2048.0),
        "l0.q.b": np.zeros(32),
    }
    nibbles = bytes(index | (15 - index) << 4 for index in range(16))
    packed = np.float16(0.5).tobytes() + nibbles
    (folder / "e5-small-q4.bin").write_bytes(container(tensors, {"l0.q.w": packed}))
    return folder


def test_four_bit_weights_are_scale_times_nibble_minus_eight(package: Path) -> None:
    weights = E5File(package / "e5-small-q4.bin").tensor("l0.q.w")
    assert weights.tolist() == [0.5 * (index - 8) for index in [*range(16), *range(15, -1, -1)]]


def test_the_folder_is_made_once_with_its_origin(package: Path) -> None:
    folder = converted(package)
    tensors = load_file(folder / "model.safetensors")
    assert tensors["encoder.layer.0.output.dense.weight"].shape == (32, 64)
    assert tensors["embeddings.word_embeddings.weight"].shape == (8, 32)
    origin = json.loads((folder / "origin.json").read_text())
    assert origin["licence"] == "MIT" and len(origin["sha256"]) == 64
    assert json.loads((folder / "config.json").read_text())["pad_token_id"] == 1
    (package / "e5-small-q4.bin").unlink()
    assert converted(package) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_tokenizer_is_rebuilt_from_the_pieces(package: Path) -> None:
    tokenizer = Tokenizer(converted(package) / "tokenizer.json", max_length=8)
    assert tokenizer.texts(["a b"]) == [[7, 4, 6]]
    assert tokenizer.framing.middle == (2, 2)


@pytest.mark.parametrize("length", [0, 3, 40, 150, 400])
def test_a_file_cut_short_is_refused_and_leaves_nothing_behind(package: Path, length: int) -> None:
    file = package / "e5-small-q4.bin"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ModelFileError, match="TS-MODEL-031"):
        converted(package)
    assert list((cache_folder() / "starters").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_storage_error(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="TS-MODEL-032"):
        converted(package)


def test_names_of_tensors() -> None:
    assert hub_tensor_name("l3.ao.w") == "encoder.layer.3.attention.output.dense.weight"
    assert hub_tensor_name("l11.oln.b") == "encoder.layer.11.output.LayerNorm.bias"
    assert hub_tensor_name("emb.type") == "embeddings.token_type_embeddings.weight"
