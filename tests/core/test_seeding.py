"""Seeds of one run: reproducible, apart from each other, in range."""

import itertools

from serenade.core.seeding import derive_seed


def test_same_purpose_same_seed_on_every_machine() -> None:
    # A literal: a change of the derivation makes every recorded run unrepeatable.
    assert derive_seed(0, "epoch", 3) == int.from_bytes(bytes.fromhex("332d02ef62eb5dc8"), "big") >> 1


def test_purposes_seeds_and_epochs_are_apart() -> None:
    cases = [*itertools.product(range(5), ["epoch", "mixup", "initial"], range(20))]
    assert len({derive_seed(*case) for case in cases}) == len(cases)


def test_a_purpose_with_a_slash_is_not_two_purposes() -> None:
    assert derive_seed(0, "a/b") != derive_seed(0, "a", "b")
    assert derive_seed(0, 1, "x") != derive_seed(1, 0, "x")


def test_seed_fits_every_generator() -> None:
    assert all(0 <= derive_seed(seed, "x") < 2**63 for seed in [*range(200), -1, 2**64])
