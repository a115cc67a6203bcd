"""Attention over whole ragged batches. torch has its kernels for GPUs alone, so that on a processor the formula stands
in for them: what is tested there is what we hand over and what we make of the answer, gradients included."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.model import Backbone
from tunesmith.models import attention
from tunesmith.models.attention import attend, layout
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.ragged import plan
from tunesmith.models.variable_length import attend_ragged, borders, kernel_for

CPU, META = torch.device("cpu"), torch.device("meta")
LENGTHS = [(5, 17, 1, 9, 9, 30, 2), (4, 4, 4), (6,), (1,), (70, 1)]


class Formula:
    """What the documentation of torch's two kernels promises, window by window."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def of(self, parts: tuple[Tensor, ...], offsets: Tensor, dropout: float, scale: float) -> Tensor:
        done = []
        for start, end in zip(offsets.tolist(), offsets.tolist()[1:], strict=False):
            query, key, value = (part[start:end].transpose(0, 1) for part in parts)
            weight = torch.softmax(query @ key.transpose(1, 2) * scale, -1)
            done.append((torch.dropout(weight, dropout, dropout > 0) @ value).transpose(0, 1))
        return torch.cat(done)

    def gradients(self, given: Tensor, parts: tuple[Tensor, ...], offsets: Tensor, scale: float) -> tuple[Tensor, ...]:
        """The derivative written out, since torch does not differentiate inside a kernel."""
        done = []
        for start, end in zip(offsets.tolist(), offsets.tolist()[1:], strict=False):
            above, query, key, value = (part[start:end].transpose(0, 1) for part in (given, *parts))
            weight = torch.softmax(query @ key.transpose(1, 2) * scale, -1)
            inner = above @ value.transpose(1, 2)
            score = weight * (inner - (inner * weight).sum(-1, keepdim=True)) * scale
            done.append((score @ key, score.transpose(1, 2) @ query, weight.transpose(1, 2) @ above))
        return tuple(torch.cat([window.transpose(0, 1) for window in part]) for part in zip(*done, strict=True))

    def flash(self, q: Tensor, k: Tensor, v: Tensor, starts: Tensor, ends: Tensor, *rest: Any, scale: float) -> Any:
        longest_q, longest_k, dropout, causal, debug = rest
        self.check("flash", starts, ends, longest_q, longest_k)
        assert not causal and not debug
        mixed = self.of((q, k, v), starts, dropout, scale)
        return mixed, q.new_empty(q.shape[1], len(q)), torch.empty(2), torch.empty(0), torch.empty(0)

    def flash_back(self, given: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any, scale: float) -> Any:
        return self.gradients(given, (q, k, v), rest[2], scale)

    def efficient(self, q: Tensor, k: Tensor, v: Tensor, *rest: Any, scale: float) -> Any:
        bias, starts, ends, longest_q, longest_k, dropout, mask_kind, *kept = rest
        self.check("efficient", starts, ends, longest_q, longest_k)
        assert bias is None and mask_kind == 0
        assert kept == [True] or not q.requires_grad, "the backward needs what only this keeps"
        mixed = self.of((q[0], k[0], v[0]), starts, dropout, scale)[None]
        return mixed, torch.empty(0), torch.empty(()), torch.empty(()), longest_q, longest_k

    def efficient_back(self, given: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any, scale: float) -> Any:
        found = self.gradients(given[0], (q[0], k[0], v[0]), rest[2], scale)
        return *(gradient[None] for gradient in found), torch.empty(0)

    def check(self, kernel: str, starts: Tensor, ends: Tensor, longest_q: int, longest_k: int) -> None:
        assert starts.dtype == torch.int32 and torch.equal(starts, ends)
        assert longest_q == longest_k == int(starts.diff().max())
        self.asked.append(kernel)


@pytest.fixture
def formula() -> Iterator[Formula]:
    stand_in = Formula()
    library = torch.library.Library("aten", "IMPL")
    library.impl("_flash_attention_forward", stand_in.flash, "CPU")
    library.impl("_flash_attention_backward", stand_in.flash_back, "CPU")
    library.impl("_efficient_attention_forward", stand_in.efficient, "CPU")
    library.impl("_efficient_attention_backward", stand_in.efficient_back, "CPU")
    yield stand_in
    library._destroy()


def pair(shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The same numbers twice, each with a gradient of its own."""
    torch.manual_seed(0)
    one = torch.randn(shape, requires_grad=True)
    return one, one.detach().clone().requires_grad_()


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("width", [32, 24])  # heads of 16 and of 12, which are filled up to 16
def test_values_and_gradients_equal_the_padded_way(formula: Formula, lengths: tuple[int, ...], width: int) -> None:
    ragged, padded = pair((sum(lengths), 3 * width))
    toward = torch.randn(sum(lengths), width)
    mixed = attend_ragged(ragged, borders(lengths, CPU), heads=2, dropout=0.0)
    expected = attend(padded, plan(lengths, CPU), heads=2, dropout=0.0)
    (mixed * toward).sum().backward()
    (expected * toward).sum().backward()
    assert formula.asked == ["efficient"]
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ragged.grad, padded.grad, atol=1e-5, rtol=1e-5)


def test_bfloat16_takes_flash_attention_and_stays_close(formula: Formula) -> None:
    lengths = LENGTHS[0]
    ragged, padded = pair((sum(lengths), 3 * 32))
    half = ragged.detach().bfloat16().requires_grad_()
    mixed = attend_ragged(half, borders(lengths, CPU), heads=2, dropout=0.0)
    expected = attend(padded, plan(lengths, CPU), heads=2, dropout=0.0)
    mixed.float().sum().backward()
    expected.sum().backward()
    assert formula.asked == ["flash"] and mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), expected, atol=0.05, rtol=0.05)
    assert half.grad is not None
    torch.testing.assert_close(half.grad.float(), padded.grad, atol=0.05, rtol=0.05)


def test_dropout_reaches_the_weights_and_keeps_their_mean(formula: Formula) -> None:
    lengths = (8,) * 400
    torch.manual_seed(0)
    qkv = torch.randn(8, 3 * 16).repeat(400, 1)
    mixed = attend_ragged(qkv.bfloat16(), borders(lengths, CPU), heads=1, dropout=0.3).float().view(400, 8, 16)
    expected = attend(qkv[:8], plan((8,), CPU), heads=1, dropout=0.0)
    assert float((mixed - expected).std(0).min()) > 0.01
    torch.testing.assert_close(mixed.mean(0), expected, atol=0.1, rtol=0.0)


@pytest.mark.parametrize("recomputing", [False, True])
def test_a_whole_encoder_gives_the_same_either_way(
    formula: Formula,
    tiny_backbone: Backbone,
    random_batch: Callable[..., Batch],
    monkeypatch: pytest.MonkeyPatch,
    recomputing: bool,
) -> None:
    batch = random_batch(LENGTHS[0])
    padded = tiny_backbone(batch)
    padded.square().sum().backward()
    expected = {name: p.grad for name, p in tiny_backbone.named_parameters()}
    tiny_backbone.zero_grad()
    monkeypatch.setattr(attention, "GPUS", {"cpu"})
    tiny_backbone.gradient_checkpointing = recomputing
    ragged = tiny_backbone(batch)
    ragged.square().sum().backward()
    assert set(formula.asked) == {"efficient"} and len(formula.asked) == (4 if recomputing else 2)
    torch.testing.assert_close(ragged, padded, atol=1e-5, rtol=1e-5)
    for name, parameter in tiny_backbone.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize(("dtype", "dropout"), [(torch.float32, 0.0), (torch.bfloat16, 0.0), (torch.bfloat16, 0.1)])
def test_torchs_own_kernels_take_the_call(dtype: torch.dtype, dropout: float) -> None:
    """On the "meta" device torch checks the call and answers with the shape, without numbers."""
    qkv = torch.empty(31, 3 * 40, dtype=dtype, device=META, requires_grad=True)
    mixed = attend_ragged(qkv, borders((30, 1), META), heads=2, dropout=dropout)
    assert (mixed.shape, mixed.dtype, mixed.requires_grad) == ((31, 40), dtype, True)
    if dtype == torch.bfloat16:  # torch 2.13 forgot an argument in the other one's backward, on this device alone
        mixed.sum().backward()
        assert qkv.grad is not None and qkv.grad.shape == qkv.shape


def test_without_a_gpu_torch_has_no_kernel_and_says_so() -> None:
    with pytest.raises(NotImplementedError, match="_efficient_attention_forward"):
        attend_ragged(torch.randn(3, 3 * 16), borders((3,), CPU), heads=1, dropout=0.0)


def test_the_memory_efficient_kernel_is_never_asked_for_dropout(
    formula: Formula, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its masks differ between forward and backward, so that attention pads instead."""
    monkeypatch.setattr(attention, "GPUS", {"cpu"})
    qkv, windows = torch.randn(31, 3 * 32), borders((30, 1), CPU)
    with pytest.raises(ValueError, match="memory-efficient"):
        attend_ragged(qkv, windows, heads=2, dropout=0.1)
    assert attend(qkv, windows, heads=2, dropout=0.1).shape == (31, 32) and formula.asked == []
    attend(qkv, windows, heads=2, dropout=0.0)
    attend(qkv.bfloat16(), windows, heads=2, dropout=0.1)
    assert formula.asked == ["efficient", "flash"]


def test_the_kernel_follows_from_type_and_size() -> None:
    assert kernel_for(torch.bfloat16, 64) == kernel_for(torch.float16, 32) == "flash"
    assert kernel_for(torch.float32, 64) == kernel_for(torch.bfloat16, 256) == "efficient"


def test_borders_made_while_judging_serve_training() -> None:
    with torch.inference_mode():
        made = borders((7, 3, 11, 2), CPU)
    assert made.offsets.tolist() == [0, 7, 10, 21, 23] and made.longest == 11
    assert not made.offsets.is_inference()


def test_a_run_can_tell_the_kernel_before_it_starts(tiny_bert_folder: Path) -> None:
    backbone = load_backbone(locate(str(tiny_bert_folder)), dropout=0.1)
    there, fp32, bf16 = torch.device("cuda"), torch.float32, torch.bfloat16
    assert backbone.attention_on(there, bf16) == "flash kernel, no padding"
    assert backbone.attention_on(there, fp32) == "padded in chunks, since no ragged kernel drops weights here"
    assert backbone.attention_on(CPU, fp32) == backbone.attention_on(CPU, bf16) == "padded in chunks"
    backbone.requires_grad_(False)
    assert backbone.attention_on(there, fp32) == "efficient kernel, no padding", "nothing learns, nothing drops"


KERNELS = [(torch.float32, "efficient", 1e-4), (torch.bfloat16, "flash", 2e-2)]


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "kernel", "near"), KERNELS)
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("size", [32, 64, 12])
def test_a_gpu_equals_the_processor(
    seen: Any, lengths: tuple[int, ...], size: int, dtype: torch.dtype, kernel: str, near: float
) -> None:
    rows = sum(lengths)
    torch.manual_seed(0)
    there = torch.randn(rows, 3 * 2 * size).to(dtype).cuda().requires_grad_()
    here = there.detach().cpu().float().requires_grad_()
    toward = torch.randn(rows, 2 * size).to(dtype)
    with seen:
        mixed = attend(there, layout(lengths, there.device), heads=2, dropout=0.0)
        mixed.backward(toward.cuda())
    expected = attend(here, plan(lengths, CPU), heads=2, dropout=0.0)
    expected.backward(toward.float())
    assert seen.attention == {f"_{kernel}_attention_forward", f"_{kernel}_attention_backward"}
    assert there.grad is not None
    torch.testing.assert_close(mixed.cpu().float(), expected, atol=near, rtol=near)
    torch.testing.assert_close(there.grad.cpu().float(), here.grad, atol=near, rtol=near)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", [(64,) * 30, (3, 17, 8, 30, 5, 64, 64, 40) * 6])
def test_a_gpu_drops_the_same_weights_forward_and_backward(dtype: torch.dtype, lengths: tuple[int, ...]) -> None:
    """Rows of the identity as values and as the gradient from above make both ways spell out the dropped weights."""
    heads, size, rows = 2, 64, sum(lengths)
    torch.manual_seed(0)
    identity = torch.cat([torch.eye(length, size) for length in lengths])[:, None].expand(rows, heads, size)
    parts = [torch.randn(rows, heads, size), torch.randn(rows, heads, size), identity]
    qkv = torch.stack(parts, 1).reshape(rows, -1).to(dtype).cuda().requires_grad_()
    mixed = attend(qkv, layout(lengths, qkv.device), heads=heads, dropout=0.3)
    mixed.backward(identity.reshape(rows, -1).to(dtype).cuda())
    assert qkv.grad is not None
    forward = mixed.detach().float().cpu().view(rows, heads, size).split(lengths)
    backward = qkv.grad.float().cpu().view(rows, 3, heads, size)[:, 2].split(lengths)
    kept: list[Tensor] = []
    for length, there, back in zip(lengths, forward, backward, strict=True):
        window = there[..., :length].transpose(0, 1)
        torch.testing.assert_close(back[..., :length].permute(1, 2, 0), window, atol=1e-2, rtol=1e-2)
        kept += [(window[head] != 0).flatten() for head in range(heads)]
    assert float(torch.cat(kept).float().mean()) == pytest.approx(0.7, abs=0.01)
    longest = torch.stack([mask for mask in kept if len(mask) == 64 * 64])
    assert len(longest.unique(dim=0)) == len(longest), "every window and head draws weights of its own"


@pytest.mark.gpu
@pytest.mark.parametrize(("kind", "kernel", "near"), [("fp32", "efficient", 1e-3), ("bf16", "flash", 5e-2)])
def test_the_starter_on_a_gpu_equals_the_processor(
    seen: Any, random_batch: Callable[..., Batch], kind: str, kernel: str, near: float
) -> None:
    backbone = load_backbone(locate("starter:english"), dropout=0.0)
    batch = random_batch(LENGTHS[0], vocabulary=30000)
    with torch.inference_mode():
        expected = backbone(batch)
        backbone.to("cuda")
        with seen, torch.autocast("cuda", torch.bfloat16, enabled=kind == "bf16"):
            found = backbone(batch.to("cuda"))
    assert seen.attention == {f"_{kernel}_attention_forward"}
    torch.testing.assert_close(found.cpu(), expected, atol=near, rtol=near)
