"""What held the frame rate is what the next session begins with."""

from impasto.realtime.live import step_cache
from impasto.realtime.live.rate_control import STEPS


def test_a_step_is_found_again_and_only_for_its_case(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert step_cache.load("1280x720", "30") is None
    for step in STEPS:
        step_cache.store("1280x720", "30", step=step)
        assert step_cache.load("1280x720", "30") == step
    assert step_cache.load("640x360", "30") is None
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert step_cache.load("1280x720", "30") is None
