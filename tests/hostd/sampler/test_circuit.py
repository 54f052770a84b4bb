"""When a domain that did not answer may be asked again."""

from hypothesis import given
from hypothesis import strategies as st

from hostd.sampler.circuit import MOST_INTERVALS, Circuit

INTERVAL = 10.0


def test_a_domain_may_be_asked_at_first() -> None:
    circuit = Circuit(interval_seconds=INTERVAL)
    assert circuit.may_ask(0.0)
    assert circuit.is_answering


def test_one_that_was_left_alone_is_looked_at_again_at_once() -> None:
    circuit = Circuit(interval_seconds=INTERVAL)
    circuit.left_alone()
    assert not circuit.is_answering
    assert circuit.may_ask(0.0)


@given(st.integers(1, 50))
def test_one_that_keeps_failing_is_asked_after_some_intervals_at_the_latest(failures: int) -> None:
    circuit, now = Circuit(interval_seconds=INTERVAL), 1000.0
    for _ in range(failures):
        circuit.failed(now)
        assert not circuit.is_answering
    assert circuit.may_ask(now + MOST_INTERVALS * INTERVAL)


def test_waits_grow_and_an_answer_ends_them() -> None:
    circuit = Circuit(interval_seconds=INTERVAL)
    circuit._backoff._draw = lambda _low, high: high
    waits = []
    for _ in range(5):
        circuit.failed(0.0)
        waits.append(circuit._ask_at)
    assert waits == [10.0, 20.0, 40.0, 80.0, 80.0]
    assert not circuit.may_ask(79.9)
    circuit.answered()
    assert circuit.is_answering
    assert circuit.may_ask(0.0)
    circuit.failed(0.0)
    assert circuit._ask_at == 10.0
