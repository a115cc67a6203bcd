import pytest
import torch

from tunesmith.core.errors import ConfigError
from tunesmith.models import precision
from tunesmith.models.precision import Choice, gemm_rates
from tunesmith.tune.precision import choose, choose_device, require

CPU = torch.device("cpu")


@pytest.mark.parametrize(("rates", "expected"), [((100.0, 240.0), "bf16"), ((100.0, 40.0), "fp32")])
def test_auto_takes_what_is_faster_here(
    monkeypatch: pytest.MonkeyPatch, rates: tuple[float, float], expected: str
) -> None:
    monkeypatch.setattr(precision, "gemm_rates", lambda *_: rates)
    choice = choose("auto", width=384, device=CPU)
    assert choice.precision == expected
    assert (choice.fp32_gflops, choice.bf16_gflops) == rates
    assert Choice(**choice.as_record()) == choice


def test_what_is_set_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(precision, "gemm_rates")
    assert choose("bf16", width=384, device=CPU).precision == "bf16"


def test_the_probe_gives_rates() -> None:
    fp32, bf16 = gemm_rates(64, CPU, seconds=0.01)
    assert fp32 > 0 and bf16 > 0


def test_a_gpu_never_imitates_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: including_emulation)
    old = torch.device("cuda")
    assert choose("auto", width=384, device=old) == Choice("fp32", "this GPU has no bf16")
    assert choose("fp32", width=384, device=old).precision == "fp32"
    for refused in (lambda: choose("bf16", width=384, device=old), lambda: require("bf16", old)):
        with pytest.raises(ConfigError, match=r"train\.precision.*no bf16"):
            refused()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused_not_replaced() -> None:
    assert choose_device("auto") == CPU
    with pytest.raises(ConfigError, match=r"train\.device") as caught:
        choose_device("cuda")
    assert caught.value.fix == 'write device = "auto" or "cpu".'
