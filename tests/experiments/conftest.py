from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.robosumo import variants


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants that take no time: `tiny-attack`, `tiny-self-play` and `tiny-sparring`."""
    for name in ("attack", "self-play", "sparring"):
        variant = variants.VARIANTS[name]
        small = replace(variant.config.ppo, epochs=1, minibatch=16, warmup_updates=0)
        config = replace(variant.config, num_games=4, steps_per_round=8, ppo=small)
        monkeypatch.setitem(variants.VARIANTS, f"tiny-{name}", replace(variant, config=config))
