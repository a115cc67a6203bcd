"""Bounded, fair to the others in a batch, and never at work for nobody."""

import threading
import time
from concurrent.futures import CancelledError

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.prediction import Prediction
from tunesmith.serve.batcher import Ask, Batcher, DeadlinePassed, Overloaded


class Model:
    """Answers with the text; `hold` keeps it at work, texts that begin with `bad` fail."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def __call__(self, asks):
        examples = [ask.example for ask in asks]
        self.entered.set()
        self.go.wait(10)
        self.batches.append([example.text for example in examples])
        for example in examples:
            if example.text.startswith("bad"):
                raise DataError("cannot be read", code="X", fix="write it anew.")
            if example.text.startswith("bug"):
                raise ZeroDivisionError
        return [Prediction(id=e.id, text=e.text, predicted=e.text) for e in examples], [len(e.text) for e in examples]


@pytest.fixture
def asked(unlabelled):
    """`asked("a text", ...)`: what a bundle of one model is asked."""
    return lambda *given: [Ask(example) for example in unlabelled(*given)]


@pytest.fixture
def started():
    running = []

    def make(**limits):
        batcher, model = (
            Batcher(**({"batch_items": 4, "batch_characters": 9999, "queue_items": 8, "queue_seconds": 10.0} | limits)),
            Model(),
        )
        thread = threading.Thread(target=batcher.run, args=(model,), daemon=True)
        thread.start()
        running.append((batcher, model, thread))
        return batcher, model

    yield make
    for batcher, model, thread in running:
        model.go.set()
        batcher.close()
        thread.join(5)
        assert not thread.is_alive()


def held(batcher, model, asked):
    """One request at work in the model, so that what follows waits."""
    model.go.clear()
    first = batcher.submit(asked("first"))
    assert model.entered.wait(5)
    return first


def test_what_waits_goes_together_and_each_gets_its_own(started, asked):
    batcher, model = started()
    first = held(batcher, model, asked)
    others = [batcher.submit(asked(f"x{n}", f"yy{n}")) for n in range(3)]
    assert batcher.waiting == 6
    model.go.set()
    for n, future in enumerate(others):
        served = future.result(5)
        assert [p.predicted for p in served.predictions] == [f"x{n}", f"yy{n}"]
        assert served.tokens == 5
    assert first.result(5).batch_items == 1
    assert [len(batch) for batch in model.batches] == [1, 4, 2]
    assert batcher.waiting == 0


def test_a_long_text_does_not_share_a_batch_with_many(started, asked):
    batcher, model = started(batch_characters=200)
    held(batcher, model, asked)
    futures = [batcher.submit(asked(text)) for text in ("a", "b", "x" * 500, "c")]
    model.go.set()
    for future in futures:
        future.result(5)
    assert [len(batch) for batch in model.batches] == [1, 2, 1, 1]


def test_a_full_queue_refuses_at_once(started, asked):
    batcher, model = started(queue_items=3)
    held(batcher, model, asked)
    batcher.submit(asked("a", "b"))
    with pytest.raises(Overloaded) as caught:
        batcher.submit(asked("c", "d"))
    assert caught.value.retry_after >= 1
    batcher.submit(asked("e"))


def test_an_empty_queue_takes_any_request(started, asked):
    batcher, _ = started(queue_items=1)
    assert len(batcher.submit(asked("a", "b", "c")).result(5).predictions) == 3


def test_an_estimated_wait_beyond_the_budget_is_refused(started, asked):
    batcher, model = started(queue_items=100, queue_seconds=0.05)
    model.go.clear()
    first = batcher.submit(asked("slow"))
    assert model.entered.wait(5)
    time.sleep(0.4)
    model.go.set()
    first.result(5)
    model.entered.clear()
    held(batcher, model, asked)
    batcher.submit(asked("a", "b"))
    with pytest.raises(Overloaded):
        batcher.submit(asked("c"))


def test_a_bad_request_fails_alone(started, asked):
    batcher, model = started()
    held(batcher, model, asked)
    good, bad, bug = (batcher.submit(asked(text)) for text in ("good", "bad", "bug"))
    model.go.set()
    assert good.result(5).predictions[0].predicted == "good"
    assert isinstance(bad.exception(5), DataError)
    assert isinstance(bug.exception(5), ZeroDivisionError)
    assert batcher.submit(asked("after")).result(5), "the thread lives on"


def test_expired_and_cancelled_work_never_runs(started, asked):
    batcher, model = started()
    held(batcher, model, asked)
    expired = batcher.submit(asked("expired"), deadline=time.monotonic() - 1)
    left = batcher.submit(asked("left"))
    assert left.cancel()
    model.go.set()
    assert isinstance(expired.exception(5), DeadlinePassed)
    with pytest.raises(CancelledError):
        left.result(1)
    batcher.submit(asked("last")).result(5)
    assert model.batches == [["first"], ["last"]]


def test_closing_finishes_what_is_queued_and_takes_nothing_more(started, asked):
    batcher, model = started()
    held(batcher, model, asked)
    queued = batcher.submit(asked("queued"))
    batcher.close()
    with pytest.raises(Overloaded):
        batcher.submit(asked("late"))
    model.go.set()
    assert queued.result(5).predictions[0].predicted == "queued"
