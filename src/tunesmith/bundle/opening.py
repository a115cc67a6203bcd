"""From a folder to what answers: the one model of a bundle, or several over one backbone."""

from pathlib import Path

from tunesmith.bundle.approximate import Search
from tunesmith.bundle.joined_integrity import is_joined
from tunesmith.bundle.joined_predictor import JoinedPredictor
from tunesmith.bundle.precision import Wanted
from tunesmith.bundle.predictor import Predictor, staged
from tunesmith.bundle.reranking import CANDIDATES, PLAIN, Stages
from tunesmith.core.errors import Place, UsageError


def load(
    bundle: Path | str,
    *,
    precision: Wanted = "fp32",
    index: Search = "exact",
    reranker: Path | str | None = None,
    candidates: int = CANDIDATES,
    relevant: str | None = None,
) -> Predictor | JoinedPredictor:
    """Verify a bundle and open it: `load(folder).predict("...")`.

    A bundle that `tunesmith join` wrote holds several models: `load(folder).predict("...", adapter="intents")`.

    `precision` is what it computes in. fp32 gives the numbers of the bundle's report; bf16 takes about half the
    time where the processor has instructions for it, and answers a near tie otherwise now and then; "auto"
    measures for 50 ms which is faster. The golden rows are proved in fp32 before anything is cast.

    Of a search, `index` "faiss" looks at the documents near a question only, and says how much of exact search it
    finds (`.bundle.collection.index.account`). `reranker` is the bundle of a pair model that reads the first
    `candidates` documents with the question and orders them anew, by its score or by the probability of the label
    `relevant`, which need not be named where it is yes, 1, true or relevant.

    Raises:
        ModelFileError: any byte of it was changed; the message names the file.
        UsageError: no such precision or index; a re-ranker that does not fit.
        MissingExtraError: faiss is not installed.
    """
    stages = Stages(index, Path(reranker) if reranker is not None else None, candidates, relevant)
    if not is_joined(Path(bundle)):
        return Predictor.load(bundle, precision=precision, stages=stages)
    require_plain(Path(bundle), stages)
    return JoinedPredictor.load(bundle, precision=precision)


def require_plain(bundle: Path, stages: Stages) -> None:
    """Refuse an index and a re-ranker for several models together, of which each could want its own.

    Raises:
        UsageError: one was asked for.
    """
    if not stages.plain:
        raise UsageError(
            "this bundle holds several models, and an index or a re-ranker belongs to one search",
            code="TS-BUNDLE-068",
            place=Place(file=str(bundle)),
            fix="name the bundle of the search that was joined; predict and evaluate take it from here with --adapter.",
        )


def one_model(bundle: Path, *, adapter: str | None, precision: Wanted = "fp32", stages: Stages = PLAIN) -> Predictor:
    """The model that a bundle is, or the one of several that `adapter` names.

    Raises:
        ModelFileError: any byte of it was changed.
        UsageError: one of several is to be named and is not, there is none of that name, or there is nothing to name;
            stages that do not fit.
        MissingExtraError: faiss is not installed.
    """
    if not is_joined(bundle):
        if adapter is not None:
            raise UsageError(
                "this bundle is one model, and an adapter was named",
                code="TS-BUNDLE-057",
                place=Place(file=str(bundle)),
                fix="leave the adapter out.",
            )
        return Predictor.load(bundle, precision=precision, stages=stages)
    joined = JoinedPredictor.load(bundle, precision=precision)
    if adapter is None:
        raise joined.unnamed()
    return staged(joined[adapter].bundle, stages, precision=precision)
