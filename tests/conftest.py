"""What all tests share."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The first example pays for JAX's compilation, so none has a deadline; the same examples in every run.
settings.register_profile("sparring", deadline=None, derandomize=True)
settings.load_profile("sparring")

ENOUGH = 1_200_000  # kB; what was compiled for earlier files is rarely needed again


@pytest.fixture(scope="module", autouse=True)
def memory() -> Iterator[None]:
    """Let go of compiled programs when a worker has grown large."""
    yield
    if "jax" in sys.modules and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > ENOUGH:
        sys.modules["jax"].clear_caches()
        gc.collect()
