"""GGUF files, tiny ones by the gguf package, are read as transformers reads them; damaged ones are refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, pre_tokenizers, trainers

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ModelFileError
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.checkpoint import locate
from tunesmith.models.gguf_file import converted
from tunesmith.models.gguf_names import NAMES, rows_of_halves, rows_of_pairs
from tunesmith.models.loading import load_backbone
from tunesmith.models.template_file import chat_template

gguf = pytest.importorskip("gguf", reason='the package gguf is not installed: pip install "tunesmith[starter]"')

TEXTS = ["My card was lost in 2018,\nI'll block  it!", "谢谢 👍🏽 é e\u0301", "<|end|> def f(x):\n\treturn 12345", ""]
SIZES: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2},
    "qwen2": {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2},
    "gpt2": {"n_embd": 64, "n_inner": 256, "n_head": 4, "n_layer": 2, "n_positions": 1024},  # as transformers assumes
}
TEMPLATE = "{% for message in messages %}{{ message['content'] + eos_token }}{% endfor %}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def byte_level() -> dict[str, Any]:
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _bytes()])
    trainer = trainers.BpeTrainer(
        vocab_size=288, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"]
    )
    fast.train_from_iterator(TEXTS[1:2] + ["card card block block block lost lost", *TEXTS[:1]] * 9, trainer)
    found: dict[str, Any] = json.loads(fast.to_str())["model"]
    return found


def _bytes() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


Change = Callable[[Any], None]


@pytest.fixture
def written(tmp_path: Path, byte_level: dict[str, Any]) -> Callable[..., Path]:
    """`written(kind, quantised=..., change=...)`: a random model as llama.cpp would write it."""

    def make(kind: str, *, quantised: str = "F32", change: Change = lambda writer: None, pre: str = "smollm") -> Path:
        vocabulary = list(byte_level["vocab"])
        extra = {} if kind == "gpt2" else {"num_hidden_layers": 2, "max_position_embeddings": 32, "head_dim": 16}
        config = getattr(transformers, {"llama": "LlamaConfig", "qwen2": "Qwen2Config", "gpt2": "GPT2Config"}[kind])(
            vocab_size=len(vocabulary), bos_token_id=0, eos_token_id=0, **SIZES[kind], **extra
        )
        config.tie_word_embeddings = True
        torch.manual_seed(0)
        state = transformers.AutoModelForCausalLM.from_config(config).state_dict()
        path = tmp_path / f"{kind}.gguf"
        writer = gguf.GGUFWriter(path, kind)
        writer.add_context_length(1024 if kind == "gpt2" else 32)
        writer.add_embedding_length(64)
        writer.add_block_count(2)
        writer.add_feed_forward_length(256 if kind == "gpt2" else 96)
        writer.add_head_count(4)
        writer.add_license("apache-2.0")
        if kind == "gpt2":
            writer.add_layer_norm_eps(1e-5)
        else:
            writer.add_head_count_kv(2)
            writer.add_layer_norm_rms_eps(config.rms_norm_eps)
            writer.add_rope_freq_base(500000.0)
            writer.add_rope_dimension_count(16)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(vocabulary)
        writer.add_token_types([3] + [1] * (len(vocabulary) - 1))
        writer.add_token_merges([" ".join(merge) for merge in byte_level["merges"]])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        writer.add_add_bos_token(False)
        writer.add_chat_template(TEMPLATE)
        for name, tensor in state.items():
            theirs = NAMES[kind].gguf(name)
            if theirs == "output.weight":
                continue
            assert theirs is not None, name
            array = tensor.numpy()
            part = theirs.split(".")[-2]
            if part in NAMES[kind].halves:
                array = rows_of_pairs(array, 4 if part == "attn_q" else 2)
            array = array.T if part in NAMES[kind].turned and array.ndim == 2 else array
            array, type_ = np.ascontiguousarray(array), gguf.GGMLQuantizationType[quantised]
            if array.ndim == 1 or quantised == "F32":
                writer.add_tensor(theirs, array)
            else:
                writer.add_tensor(theirs, gguf.quants.quantize(array, type_), raw_dtype=type_)
        change(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "quantised"), [("llama", "Q4_1"), ("llama", "BF16"), ("qwen2", "Q8_0"), ("gpt2", "F16")]
)
def test_weights_and_tokens_are_those_that_transformers_reads(
    kind: str, quantised: str, written: Callable[..., Path], random_batch: Callable[..., Batch]
) -> None:
    path = written(kind, quantised=quantised)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    checkpoint = locate(str(path))
    ours = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    expected = {
        name: tensor if tensor.ndim == 1 else tensor.half().float() for name, tensor in theirs.state_dict().items()
    }
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())
    batch, backbone = random_batch((5, 9)), load_backbone(checkpoint).eval()
    with torch.inference_mode():
        logits = (backbone(batch) @ backbone.words.weight.T).split(batch.lengths)
        for ids, found in zip(batch.input_ids.split(batch.lengths), logits, strict=True):
            torch.testing.assert_close(found, ours(ids.long()[None]).logits[0], atol=1e-5, rtol=1e-5)
    other = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    plain = Tokenizer(checkpoint.tokenizer_file, max_length=64, causal=True)
    assert plain.texts(TEXTS[:2]) == [other.encode(text, add_special_tokens=False) for text in TEXTS[:2]]
    assert (checkpoint.licence, chat_template(checkpoint).source) == ("apache-2.0", TEMPLATE)
    assert chat_template(checkpoint).control["eos_token"] == "<|end|>"


@pytest.mark.parametrize("blank", [True, False])
def test_pieces_with_scores_are_merged_as_transformers_merges_them(
    blank: bool, written: Callable[..., Path], tmp_path: Path
) -> None:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdelnor"]
    pieces += ["▁c", "ar", "▁car", "card", "▁card", "lo", "an", "ba"]

    def sentencepiece(writer: Any) -> None:
        table = writer.kv_data[0]
        for key in [key for key in table if key.startswith("tokenizer.ggml")]:
            del table[key]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(pieces)
        writer.add_token_scores([-float(index) for index in range(len(pieces))])
        writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(pieces) - 259))
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_space_prefix(blank)

    path = written("llama", change=sentencepiece)
    other = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    ours = Tokenizer(locate(str(path)).tokenizer_file, max_length=64, causal=True)
    texts = ["card and car", "a  load", "loan é 谢", " clean"]
    given = texts if blank else [f" {text.strip()}" for text in texts]  # transformers puts one whatever the file says
    assert ours.texts(given) == [other.encode(text, add_special_tokens=False) for text in texts]
    assert ours.framing.prefix == (1,) and ours.framing.suffix == ()


def test_each_digit_is_a_token_and_qwen_joins_accents(written: Callable[..., Path]) -> None:
    smol = Tokenizer(locate(str(written("llama"))).tokenizer_file, max_length=64)
    assert smol.texts(["card  12"])[0][-2:] == [smol.texts([digit])[0][0] for digit in "12"]
    qwen = Tokenizer(locate(str(written("qwen2", pre="qwen2"))).tokenizer_file, max_length=64)
    assert qwen.texts(["e\u0301"]) == qwen.texts(["é"])


def test_the_factors_of_llama_3_are_recognised(written: Callable[..., Path]) -> None:
    config = transformers.LlamaConfig(
        hidden_size=64,
        num_attention_heads=4,
        max_position_embeddings=131072,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0}
        | {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    )
    plain = 500000.0 ** -(torch.arange(0, 16, 2) / 16)
    slowed, _ = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    factors = (plain / slowed).numpy().astype(np.float32)
    path = written("llama", change=lambda writer: writer.add_tensor("rope_freqs.weight", factors))
    rope = locate(str(path)).config["rope_parameters"]
    assert {key: rope[key] for key in config.rope_parameters} == pytest.approx(config.rope_parameters)
    path = written("llama", change=lambda writer: writer.add_tensor("rope_freqs.weight", factors + 1))
    with pytest.raises(ModelFileError, match="not that of Llama 3"):
        locate(str(path))


def test_a_file_is_converted_once_and_a_folder_with_one_will_do(written: Callable[..., Path]) -> None:
    path = written("llama")
    folder = converted(path)
    path.rename(path.with_name("other.gguf"))
    assert locate(str(path.parent)).folder == folder
    assert [made.name for made in folder.parent.iterdir()] == [folder.name]
    origin = json.loads((folder / "origin.json").read_text())
    assert origin["file"] == "llama.gguf" and origin["sha256"].startswith(folder.name.split("-")[0])
    written("qwen2")
    with pytest.raises(ModelFileError, match=r"2 GGUF files.*name the one to take.*TS-MODEL-035"):
        locate(str(path.parent))


def _key(name: str, value: object) -> Change:
    def change(writer: Any) -> None:
        field = writer.kv_data[0][name]
        field.value = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_key("general.architecture", "mamba"), "its architecture is 'mamba', not one of llama, qwen2, gpt2"),
        (_key("tokenizer.ggml.pre", "martian"), "cut in the way 'martian'"),
        (_key("tokenizer.ggml.model", "rwkv"), "tokenizer is of the kind 'rwkv'"),
        (_key("tokenizer.ggml.merges", ["a b c"]), "a merge is of tokens"),
        (_key("llama.attention.head_count", 0), "attention.head_count is no whole number"),
        (_key("llama.rope.dimension_count", 8), "only a part of each head"),
        (lambda writer: writer.add_tensor("blk.0.ffn_gate_exps.weight", np.zeros(4, np.float32)), "has no place"),
        (lambda writer: writer.add_tensor("blk.9.attn_k.weight", np.zeros((3, 2), np.float32)), "3 rows for 2 heads"),
        (lambda writer: writer.add_tensor("output.weight", np.full((2, 2), 1e9, np.float32)), "not finite in fp16"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    change: Change, message: str, written: Callable[..., Path], tmp_path: Path
) -> None:
    path = written("llama", change=change)
    with pytest.raises(ModelFileError, match=rf"llama.gguf: .*{message}.*TS-MODEL-033"):
        locate(str(path))
    assert not list((tmp_path / "cache" / "tunesmith" / "gguf").iterdir())


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _header(version: int, tensors: int, values: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values)


ONE = _header(3, 1, 0) + _string("w")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"PK\3\4" * 9, "does not begin with GGUF"),
        (_header(9, 0, 0), "version 9"),
        (_header(3, 0, 2**40), "counts 1099511627776"),
        (_header(3, 2**63, 0), "counts 9223372036854775808"),
        (_header(3, 0, 1) + struct.pack("<Q", 2**50) + bytes(9), "counts 1125899906842624"),
        (_header(3, 0, 1) + _string("k") + struct.pack("<IIQ", 9, 0, 2**40), "counts 1099511627776"),
        (_header(3, 0, 1) + _string("k") + struct.pack("<IIQ", 9, 9, 1), "unknown type 9"),
        (_header(3, 0, 1) + _string("k") + struct.pack("<II", 77, 0), "unknown type 77"),
        (_header(3, 0, 2) + (_string("k") + struct.pack("<IB", 0, 1)) * 2, "'k' stands in it twice"),
        (ONE + struct.pack("<I", 9) + bytes(99), "9 dimensions"),
        (ONE + struct.pack("<IQIQ", 1, 2**60, 0, 0), "beyond the end"),
        (ONE + struct.pack("<IQIQ", 1, 4, 0, 2**63), "beyond the end"),
        (ONE + struct.pack("<IQIQ", 1, 31, 2, 0), "no blocks of 32"),
        (ONE + struct.pack("<IQIQ", 1, 4, 999, 0), "unknown type 999"),
        (ONE + struct.pack("<IQIQ", 1, 0, 0, 0), "rows of 0"),
    ],
)
def test_a_header_is_not_believed(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(data)
    with pytest.raises(ModelFileError, match=rf"bad.gguf: .*{message}.*TS-MODEL-033"):
        locate(str(tmp_path / "bad.gguf"))


def test_a_file_cut_short_anywhere_is_refused(written: Callable[..., Path], tmp_path: Path) -> None:
    whole = written("gpt2").read_bytes()
    for length in (3, 11, 30, 200, 3000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "short.gguf").write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"short.gguf"):
            locate(str(tmp_path / "short.gguf"))


def test_names_and_rows_go_both_ways() -> None:
    for names in NAMES.values():
        for own, theirs in names.rows:
            name = f"{own.format(7)}.weight"
            assert names.hub(name) == f"{theirs.format(7)}.weight" and names.gguf(names.hub(name) or "") == name
    assert NAMES["llama"].hub("blk.01.attn_q.weight") is None and NAMES["llama"].hub("rope") is None
    rows = np.arange(24.0, dtype=np.float32).reshape(12, 2)
    assert rows_of_halves(rows, 2)[:, 0].tolist() == [0, 4, 8, 2, 6, 10, 12, 16, 20, 14, 18, 22]
    assert np.array_equal(rows_of_pairs(rows_of_halves(rows, 3), 3), rows)
