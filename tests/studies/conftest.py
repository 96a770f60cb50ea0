from __future__ import annotations

from dataclasses import replace

import pytest

from sparring.studies import robosumo_learning as study


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants of RoboSumo's learning that take no time: `tiny-attack`, `tiny-self-play` and `tiny-sparring`."""
    for name in ("attack", "self-play", "sparring"):
        variant = study.VARIANTS[name]
        small = replace(variant.config.ppo, epochs=1, minibatch=16, warmup_updates=0)
        config = replace(variant.config, num_games=4, steps_per_round=8, ppo=small)
        monkeypatch.setitem(study.VARIANTS, f"tiny-{name}", replace(variant, config=config))
