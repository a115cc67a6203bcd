"""Causal models that transformers runs write, score and learn what transformers itself does with the same files."""

import copy
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.core.errors import ConfigError, ModelFileError
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.models.checkpoint import locate
from tunesmith.models.decoding import Decoding
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hosted_decoder import HostedDecoder
from tunesmith.models.hosted_head import ClassHead
from tunesmith.models.hosted_trials import keeps_cache
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_name, hub_state, load_hub_state
from tunesmith.models.language_head import language_head
from tunesmith.models.loading import build_backbone, load_backbone
from tunesmith.models.recomputed import RecomputedModel
from tunesmith.models.surgery import apply_method, merge
from tunesmith.models.vocabulary_head import WritingHead
from tunesmith.models.writer import Writer
from tunesmith.models.writing import rereads, writing

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 60,
    "max_position_embeddings": 96,
}
SHARED = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
OPT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 60, "ffn_dim": 48}
KINDS: dict[str, dict[str, Any]] = {
    "opt": OPT | {"word_embed_proj_dim": 16, "max_position_embeddings": 96},
    "gpt_neox": SIZES,
    "gemma3_text": SHARED | {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 60},
    "phi": SIZES,
    "gemma2": SHARED | {"final_logit_softcapping": 3.0, "sliding_window": 8},
    "mixtral": SHARED | {"num_local_experts": 3, "num_experts_per_tok": 2},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 60, "state_size": 4},
}
BY_CLASS = {"phi", "gemma2"}
"""Kinds whose logits are more than a product"""
TIED = {"opt", "gemma3_text", "bloom", "gemma2", "mamba"}
LENGTHS = (3, 17, 1, 8, 9, 30, 8)
ENDS = (7, 20, 33, 41)


@dataclass(frozen=True)
class Hosted:
    """The same weights twice."""

    kind: str
    folder: Path
    theirs: Any
    model: Model

    @property
    def head(self) -> WritingHead:
        assert isinstance(self.model.head, WritingHead)
        return self.model.head

    def writer(self, dtype: torch.dtype = torch.float32, *, ends: Collection[int] = ENDS) -> Writer:
        return Writer(writing(self.model.backbone, dtype), self.head.writing(dtype), ends=ends)

    @torch.inference_mode()
    def generated(self, prompt: list[int], ends: Collection[int] = (), **options: Any) -> list[int]:
        """What transformers writes, alone."""
        ids = torch.tensor([prompt])
        options |= {"eos_token_id": list(ends) or None, "pad_token_id": 0, "do_sample": False}
        row = self.theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :]
        return [token for at, token in enumerate(row.tolist()) if not set(row.tolist()[: at + 1]) & set(ends)]


def prompts(*lengths: int) -> list[list[int]]:
    draw = np.random.default_rng(0)
    return [draw.integers(4, 60, length).tolist() for length in lengths]


def save(kind: str, folder: Path, **more: Any) -> Any:
    """A model of transformers with random weights, which it wrote there."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(kind, **KINDS.get(kind, {}) | more)
    config.bos_token_id, config.eos_token_id = 1, None
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


def load(folder: Path) -> Model:
    backbone = load_backbone(locate(str(folder)), dropout=0.0)
    return Model(backbone, language_head(backbone)).eval()


@pytest.fixture(scope="module", params=KINDS)
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    folder = tmp_path_factory.mktemp(request.param)
    theirs = save(request.param, folder)
    return Hosted(request.param, folder, theirs, load(folder))


def answers(*windows: tuple[list[int], list[int]]) -> Batch:
    """Prompts with answers, each token of an answer learnt where the one before it stands."""
    made = [
        Encoding(
            example=index,
            input_ids=np.asarray([*prompt, *answer], np.int32),
            segment_ids=None,
            places=np.arange(len(prompt) - 1, len(prompt) + len(answer) - 1, dtype=np.int32),
            units=np.arange(len(answer), dtype=np.int32),
            targets=np.asarray(answer, np.int64),
        )
        for index, (prompt, answer) in enumerate(windows)
    ]
    return collate(made, [str(index) for index in range(len(made))])


def test_logits_are_those_of_the_class(hosted: Hosted) -> None:
    assert isinstance(hosted.model.backbone, HostedBackbone)
    assert isinstance(hosted.head, ClassHead) == (hosted.kind in BY_CLASS)
    assert hosted.head.tied == (hosted.kind in TIED)
    (prompt,) = prompts(17)
    with torch.inference_mode():
        expected = hosted.theirs(input_ids=torch.tensor([prompt])).logits[0]
        hidden = hosted.model.backbone(answers((prompt, [5])))[:17]
        assert_close(hosted.head(hidden), expected, atol=1e-5, rtol=1e-5)
        assert_close(copy.deepcopy(hosted.model).head(hidden), expected, atol=1e-5, rtol=1e-5)
        some = torch.tensor([3, 59, 7])
        assert_close(hosted.head.logits_at(hidden, some), expected[:, some], atol=1e-5, rtol=1e-5)


def test_the_gradients_of_answers_are_those_of_transformers(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("language_head", "hosted_head"):
        monkeypatch.setattr(f"tunesmith.models.{file}.CHUNK_BYTES", 3 * 4 * 60)  # three rows at a time
    asked = list(zip(prompts(3, 11, 6), prompts(4, 5, 1), strict=True))
    task = TASKS.make({"kind": "generation"}, key="task")
    batch, model = answers(*asked), load(hosted.folder)
    own = task.loss(model(batch), batch, head=model.head)
    own.backward()
    expected = torch.zeros(())
    for prompt, answer in asked:
        ids = torch.tensor([prompt + answer])
        labels = torch.tensor([[-100] * len(prompt) + answer])
        expected = expected + hosted.theirs(input_ids=ids, labels=labels).loss * len(answer)
    hosted.theirs.zero_grad()
    expected.backward()
    assert_close(own.detach(), expected.detach(), atol=1e-4, rtol=1e-5)
    reference = dict(hosted.theirs.named_parameters())
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert len(found) == len({id(parameter) for parameter in reference.values() if parameter.grad is not None})
    for name, parameter in found.items():
        assert_close(parameter.grad, reference[hub_name(model, name)].grad, atol=1e-4, rtol=1e-4)


def test_a_bundles_files_open_in_transformers_and_here(hosted: Hosted, tmp_path: Path) -> None:
    config, state = hub_config(hosted.model, labels=(), problem="language"), hub_state(hosted.model)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(again) is type(hosted.theirs)
    rebuilt = build_backbone(json.loads((tmp_path / "config.json").read_text()))
    ours = Model(rebuilt, language_head(rebuilt)).eval()
    load_hub_state(ours, load_file(tmp_path / "model.safetensors"))
    batch = answers((prompts(9)[0], [5]))
    with torch.inference_mode():
        expected = hosted.theirs(input_ids=batch.input_ids[None]).logits
        assert_close(again(input_ids=batch.input_ids[None]).logits, expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(ours(batch).logits, hosted.model(batch).logits)


@pytest.mark.parametrize("options", [{}, {"strategy": "beam", "beams": 3}], ids=["greedy", "beams"])
def test_answers_in_company_are_those_of_generate_alone(hosted: Hosted, options: dict[str, Any]) -> None:
    asked, beams = prompts(*LENGTHS), options.get("beams", 1)
    ends = {hosted.generated(asked[at], max_new_tokens=5)[-1] for at in (1, 3)}  # that the model does write
    together = hosted.writer(ends=ends).write(asked, Decoding(max_new_tokens=9, **options))
    expected = [hosted.generated(prompt, ends, max_new_tokens=9, num_beams=beams) for prompt in asked]
    assert [list(answer.ids) for answer in together] == expected
    assert options or len({len(answer) for answer in expected}) > 1, "some should end early, else this tests little"


@pytest.mark.gpu
def test_a_gpu_writes_what_the_processor_writes(hosted: Hosted) -> None:
    asked, decoding = prompts(*LENGTHS), Decoding(max_new_tokens=9)
    expected = hosted.writer().write(asked, decoding)
    model = load(hosted.folder).to("cuda")
    assert isinstance(model.head, WritingHead)
    writer = Writer(writing(model.backbone), model.head.writing(torch.float32), ends=ENDS)
    assert [answer.ids for answer in writer.write(asked, decoding)] == [answer.ids for answer in expected]


@pytest.mark.parametrize(
    "options", [{}, {"strategy": "sample", "temperature": 1.5, "seed": 4}, {"strategy": "beam", "beams": 3}], ids=str
)
def test_a_text_is_answered_alike_alone_and_in_company(hosted: Hosted, options: dict[str, Any]) -> None:
    writer, decoding = hosted.writer(), Decoding(max_new_tokens=7, repetition_penalty=1.2, **options)
    together = writer.write(prompts(*LENGTHS), decoding)
    for prompt, answer in list(zip(prompts(*LENGTHS), together, strict=True))[::2]:
        (alone,) = writer.write([prompt], decoding)
        assert (alone.ids, alone.reason) == (answer.ids, answer.reason)
        assert alone.log_probability == pytest.approx(answer.log_probability, abs=1e-3)


def test_rows_in_the_cache_have_the_hidden_states_of_the_whole_text(hosted: Hosted) -> None:
    model = writing(hosted.model.backbone)
    assert isinstance(model, RecomputedModel if hosted.kind == "mamba" else HostedDecoder)
    assert rereads(hosted.model.backbone) == (hosted.kind == "mamba")
    assert isinstance(hosted.model.backbone, HostedBackbone)
    (state, hidden), (other, expected) = (
        form.prefill(prompts(*LENGTHS)) for form in (model, RecomputedModel(hosted.model.backbone))
    )
    rows = torch.arange(len(LENGTHS))
    moves = {2: torch.tensor([0, 2, 3, 5, 6]), 4: torch.tensor([0, 0, 1, 2, 2])}  # two leave; two are doubled
    for step in range(12):
        assert_close(hidden, expected, atol=1e-4, rtol=1e-4)
        if step in moves:
            rows = moves[step]
            state.reorder(rows)
            other.reorder(rows)
        tokens = torch.randint(4, 60, (len(rows),), generator=torch.Generator().manual_seed(step))
        hidden, expected = state.step(tokens), other.step(tokens)


def test_a_trial_that_memory_runs_out_in_says_nothing_about_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("gpt_neox", tmp_path)
    backbone = load(tmp_path).backbone
    assert isinstance(backbone, HostedBackbone) and keeps_cache(backbone)
    said = "no cache of this form"

    def fail(*_: Any) -> Any:
        raise RuntimeError(said)

    monkeypatch.setattr(HostedDecoder, "prefill", fail)
    assert not keeps_cache(backbone)
    said = "can't allocate memory"
    with pytest.raises(RuntimeError, match="allocate"):
        keeps_cache(backbone)


def test_bf16_is_near(hosted: Hosted) -> None:
    exact = writing(hosted.model.backbone).prefill(prompts(*LENGTHS))[1]
    near = writing(hosted.model.backbone, torch.bfloat16).prefill(prompts(*LENGTHS))[1]
    assert near.dtype == torch.bfloat16
    assert (near.float() - exact).norm() < 0.1 * exact.norm()
    assert next(hosted.model.backbone.parameters()).dtype == torch.float32, "the model itself stays as it is"
    assert len(hosted.writer(torch.bfloat16).write(prompts(5), Decoding(max_new_tokens=4))[0].ids) <= 4


def test_what_a_method_left_is_merged_in_the_writer_only(hosted: Hosted) -> None:
    model = load(hosted.folder)
    targets = {"opt": "q_proj", "gpt_neox": "query_key_value", "bloom": "query_key_value", "mamba": "in_proj"}
    table = {"kind": "lora", "rank": 2, "targets": [targets.get(hosted.kind, "q_proj")]}
    apply_method(model, METHODS.make(table, key="method"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    names = [name for name, _ in model.named_modules()]
    expected = RecomputedModel(model.eval().backbone).prefill(prompts(*LENGTHS))[1]
    assert_close(writing(model.backbone).prefill(prompts(*LENGTHS))[1], expected, atol=1e-4, rtol=1e-4)
    assert [name for name, _ in model.named_modules()] == names
    merge(model)
    assert_close(writing(model.backbone).prefill(prompts(*LENGTHS))[1], expected, atol=1e-4, rtol=1e-4)


def test_a_text_that_fills_all_positions_leaves_the_others_alone(tmp_path: Path) -> None:
    save("opt", tmp_path)
    model = load(tmp_path)
    assert isinstance(model.head, WritingHead)
    writer = Writer(writing(model.backbone), model.head.writing(torch.float32), ends=())
    given = prompts(93, 4, 5, 6, 7, 8, 9, 10, 11)
    long, *short = writer.write(given, Decoding(max_new_tokens=12))
    assert (len(long.ids), long.reason) == (3, "length")
    assert [answer.ids for answer in short] == [
        answer.ids for answer in writer.write(given[1:], Decoding(max_new_tokens=12))
    ]


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("xlnet", {"d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 48, "vocab_size": 60}, "stands behind"),
        ("bert-generation", {**SIZES, "num_hidden_layers": 1}, "stands behind"),
    ],
)
def test_a_model_that_sees_ahead_cannot_write(kind: str, more: dict[str, Any], told: str, tmp_path: Path) -> None:
    save(kind, tmp_path, **more)
    with pytest.raises(ConfigError, match=told) as caught:
        load(tmp_path)
    assert caught.value.code == "TS-MODEL-040"


def test_a_model_of_pictures_and_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gemma3", "text_config": {}, "vision_config": {}}')
    with pytest.raises(ModelFileError, match="several models") as caught:
        build_backbone({"model_type": "gemma3", "text_config": _small("gemma3_text"), "vision_config": _small("")})
    assert caught.value.code == "TS-MODEL-024"


def _small(kind: str) -> dict[str, Any]:
    return {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48} | (
        {"model_type": kind, "vocab_size": 60, "num_key_value_heads": 2, "head_dim": 8} if kind else {"image_size": 28}
    )


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """The weights in a folder, written again."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_files_of_the_first_years_are_read(tmp_path: Path) -> None:
    """Pythia's hold masks and frequencies, and call the head `embed_out`."""
    theirs = save("gpt_neox", tmp_path)
    layer = "gpt_neox.layers.0.attention"
    old = {f"{layer}.bias": torch.ones(1, 1, 4, 4), f"{layer}.masked_bias": torch.tensor(-1e9)}
    changed(tmp_path, lambda tensors: tensors.update(old | {f"{layer}.rotary_emb.inv_freq": torch.ones(4)}))
    assert "embed_out.weight" in load_file(tmp_path / "model.safetensors")
    (prompt,), model = prompts(9), load(tmp_path)
    with torch.inference_mode():
        expected = theirs(input_ids=torch.tensor([prompt])).logits[0, -1:]
        assert_close(model(answers((prompt, [5]))).logits, expected, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_without_its_head_reads_texts_and_does_not_write(tmp_path: Path) -> None:
    save("gpt_neox", tmp_path)
    changed(tmp_path, lambda tensors: tensors.pop("embed_out.weight"))
    backbone = load_backbone(locate(str(tmp_path)))
    with pytest.raises(ConfigError, match="does not hold lm_head"):
        language_head(backbone)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensors: tensors.pop("gpt_neox.final_layer_norm.bias"), "missing"),
        (lambda tensors: tensors.update({"gpt_neox.final_layer_norm.bias": torch.zeros(5)}), "of shape"),
        (lambda tensors: tensors.update({"gpt_neox.strange.weight": torch.zeros(5)}), "no place"),
        (lambda tensors: tensors["embed_out.weight"].fill_(torch.nan), "not finite"),
        (lambda tensors: tensors["gpt_neox.final_layer_norm.bias"].fill_(torch.nan), "not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change: Any, told: str, tmp_path: Path) -> None:
    save("gpt_neox", tmp_path)
    changed(tmp_path, change)
    with pytest.raises(ModelFileError, match=told) as caught:
        load_backbone(locate(str(tmp_path)))
    assert caught.value.code == "TS-MODEL-023"
