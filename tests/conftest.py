"""What all tests share."""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The first example pays for JAX's compilation, so none has a deadline; the same examples in every run.
settings.register_profile("sparring", deadline=None, derandomize=True)
settings.load_profile("sparring")

# Most of the time goes into compiling: it is done roughly, and what one test has compiled, other workers, other
# interpreters and later runs read.
CACHE = Path(__file__).resolve().parent.parent / ".pytest_cache" / "compiled"
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(500_000_000))  # bytes; what was not used for long goes

ENOUGH = 1_200_000  # kB; what was compiled for earlier files is rarely needed again


@pytest.fixture(scope="module", autouse=True)
def memory() -> Iterator[None]:
    """Let go of compiled programs when a worker has grown large."""
    yield
    if "jax" in sys.modules and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > ENOUGH:
        sys.modules["jax"].clear_caches()
        gc.collect()
