"""Pauses between attempts grow, and start over after a connection that held."""

from impasto.realtime.live.backoff import Backoff


def test_pauses_grow_and_the_last_repeats() -> None:
    backoff = Backoff((1, 2, 4), steady_seconds=5)
    assert [backoff.next_pause() for _ in range(5)] == [1, 2, 4, 4, 4]


def test_only_a_connection_that_held_starts_them_over() -> None:
    now = [100.0]
    backoff = Backoff((1, 2, 4), steady_seconds=5, clock=lambda: now[0])
    assert backoff.next_pause() == 1
    backoff.connected()
    now[0] += 4.9
    assert backoff.next_pause() == 2
    now[0] += 1000  # of attempts without a connection
    assert backoff.next_pause() == 4
    backoff.connected()
    now[0] += 5
    assert [backoff.next_pause(), backoff.next_pause()] == [1, 2]
