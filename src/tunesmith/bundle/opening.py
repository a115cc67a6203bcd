"""From a folder to what answers: the one model of a bundle, or several over one backbone."""

from pathlib import Path

from tunesmith.bundle.joined_integrity import is_joined
from tunesmith.bundle.joined_predictor import JoinedPredictor
from tunesmith.bundle.precision import Wanted
from tunesmith.bundle.predictor import Predictor
from tunesmith.core.errors import Place, UsageError


def load(bundle: Path | str, *, precision: Wanted = "fp32") -> Predictor | JoinedPredictor:
    """Verify a bundle and open it: `load(folder).predict("...")`.

    A bundle that `tunesmith join` wrote holds several models: `load(folder).predict("...", adapter="intents")`.

    `precision` is what it computes in. fp32 gives the numbers of the bundle's report; bf16 takes about half the
    time where the processor has instructions for it, and answers a near tie otherwise now and then; "auto"
    measures for 50 ms which is faster. The golden rows are proved in fp32 before anything is cast.

    Raises:
        ModelFileError: any byte of it was changed; the message names the file.
        UsageError: no such precision.
    """
    kind = JoinedPredictor if is_joined(Path(bundle)) else Predictor
    return kind.load(bundle, precision=precision)


def one_model(bundle: Path, *, adapter: str | None, precision: Wanted = "fp32") -> Predictor:
    """The model that a bundle is, or the one of several that `adapter` names.

    Raises:
        ModelFileError: any byte of it was changed.
        UsageError: one of several is to be named and is not, there is none of that name, or there is nothing to name.
    """
    if not is_joined(bundle):
        if adapter is not None:
            raise UsageError(
                "this bundle is one model, and an adapter was named",
                code="TS-BUNDLE-057",
                place=Place(file=str(bundle)),
                fix="leave the adapter out.",
            )
        return Predictor.load(bundle, precision=precision)
    joined = JoinedPredictor.load(bundle, precision=precision)
    if adapter is None:
        raise joined.unnamed()
    return joined[adapter]
