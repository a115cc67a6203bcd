"""What training promises about its reliability, each promise with the script that measures it."""

from reliability import (
    corrupted_states,
    cost_of_saving,
    crash_points,
    data_order,
    full_disk,
    killed_runs,
    little_memory,
    loss_spikes,
    many_saves,
    not_finite,
    one_writer,
    same_bits,
    stop_signals,
)
from reliability.figure import Figure

FIGURES = (
    Figure(
        id="T1",
        promise="A run killed (SIGKILL) at random moments goes on unaided and ends bitwise as if left alone: weights, "
        "optimizer and journal, full and LoRA, fp32 and bf16, with accumulation.",
        measure=killed_runs.measure,
        full=50,
        quick=2,
    ),
    Figure(
        id="T2",
        promise="A crash or a power cut at any call of the file system while a state is saved leaves a whole state, "
        "and never one that is whole in part.",
        measure=crash_points.measure,
        full=crash_points.MOST,
        quick=crash_points.MOST,
    ),
    Figure(
        id="T3",
        promise="A disk that fills up ends a run with exit code 74 and a message that names path and bytes needed; the "
        "state before is whole, and with space again the run ends bitwise as if nothing had happened.",
        measure=full_disk.measure,
        full=40,
        quick=3,
    ),
    Figure(
        id="T4",
        promise="A newest state damaged in any way (a flipped bit, cut short, emptied, missing, swapped) is found out, "
        "passed over with one warning, and the run ends bitwise as if nothing had happened.",
        measure=corrupted_states.measure,
        full=21,
        quick=3,
    ),
    Figure(
        id="T5",
        promise="SIGTERM or Ctrl-C ends `tunesmith train` with 143 or 130 within one step and 2 seconds, "
        "a second signal at once, and with --resume the run ends bitwise as if left alone.",
        measure=stop_signals.measure,
        full=20,
        quick=3,
    ),
    Figure(
        id="T6",
        promise="The same command twice gives the same bits (weights, answers, losses) in fp32 and bf16, and a run "
        "that goes on with other threads says that its result will not be bitwise the same.",
        measure=same_bits.measure,
        full=6,
        quick=2,
    ),
    Figure(
        id="T7",
        promise="A run that goes on sees exactly the examples, in exactly the batches, that it would have seen over "
        "three epochs; changed data are refused with both fingerprints.",
        measure=data_order.measure,
        full=20,
        quick=2,
    ),
    Figure(
        id="T8",
        promise="A nan or an infinity in input, loss or gradient updates nothing, names step and examples, and never "
        "reaches a saved state.",
        measure=not_finite.measure,
        full=2 * len(not_finite.PLACES),
        quick=6,
    ),
    Figure(
        id="T9",
        promise="A loss that leaps (after a batch of wrong labels, or an update at a thousand times the rate) is told "
        "before anything learns from it, with its step and its examples; where it is to be undone, the run ends "
        "bitwise as one that never saw that batch, even if it was killed in between.",
        measure=loss_spikes.measure,
        full=16,
        quick=2,
    ),
    Figure(
        id="T10",
        promise="A run never begins anew unasked; of two writers the second is gone within 2 seconds with exit code "
        "75; a killed writer's lock stops nobody.",
        measure=one_writer.measure,
        full=10,
        quick=1,
    ),
    Figure(
        id="T11",
        promise="Thousands of saves grow memory by under 20 MB, open no descriptor, and never hold more than one state "
        "beyond those that are kept.",
        measure=many_saves.measure,
        full=2000,
        quick=100,
    ),
    Figure(
        id="T12",
        promise="Where memory does not hold a batch, smaller pieces go through the model, which is told and saved, and "
        "gradient and weights stay those of the whole batch up to rounding (fp32 under a limit of the system, bf16 "
        "where the model itself refuses more); where it holds nothing, the run ends with exit code 71 "
        "and a remedy, and goes on later bitwise as if nothing had happened.",
        measure=little_memory.measure,
        full=25,
        quick=4,
    ),
    Figure(
        id="T13",
        promise="Saving at the default interval costs under 5 % of a run.",
        measure=cost_of_saving.measure,
        full=180,
        quick=None,
    ),
)
