from tunesmith.core.seed import derived


def test_a_stream_is_named_and_never_changes() -> None:
    assert derived(0, "dropout", 7) == 8459355141554307173
    assert derived(0, "dropout", 7) != derived(0, "dropout", 8) != derived(1, "dropout", 8)


def test_names_do_not_run_into_each_other() -> None:
    assert derived(0, "a", "bc") != derived(0, "ab", "c")
    assert derived(1, 23) != derived(12, 3)


def test_seeds_fit_every_generator() -> None:
    assert all(0 <= derived(seed, "x") < 2**63 for seed in range(200))
