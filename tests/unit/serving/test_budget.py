"""A token bucket."""

from serving.budget import Budget


def test_it_starts_full_and_is_overdrawn_by_one_more() -> None:
    budget = Budget(10, 1, now=0.0)
    assert budget.charge(10, 0.0)
    assert not budget.charge(0.5, 0.0)


def test_it_refills_by_the_second_and_not_over_its_burst() -> None:
    budget = Budget(10, 2, now=100.0)
    assert budget.charge(10, 100.0)
    assert budget.charge(2, 101.0)
    assert not budget.charge(1, 101.0)
    assert budget.charge(10, 1_000.0)
    assert not budget.charge(0.5, 1_000.0)


def test_a_debt_is_paid_back_first() -> None:
    budget = Budget(10, 1, now=0.0)
    assert not budget.charge(15, 0.0)
    assert not budget.charge(0, 4.0)
    assert budget.charge(0, 5.0)


def test_what_is_earned_does_not_pile_up_over_the_burst() -> None:
    budget = Budget(10, 0, now=0.0)
    assert budget.charge(4, 0.0)
    assert budget.charge(-100, 0.0)
    assert budget.charge(10, 0.0)
    assert not budget.charge(1, 0.0)


def test_a_long_rest_does_not_pay_for_more_than_a_burst() -> None:
    budget = Budget(10, 1, now=0.0)
    assert not budget.charge(50, 1_000.0)
