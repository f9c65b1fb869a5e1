"""A quantile of the load test, for any samples."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.added_latency import quantile

NUMBERS = st.lists(st.floats(0, 1e9), min_size=1)


@given(NUMBERS, st.floats(0, 1))
def test_at_least_the_share_is_covered_and_no_smaller_value_would_do(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < max(share * len(values), 1)
