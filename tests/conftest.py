"""What all tests share."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from hypothesis import settings

# The first example pays for JAX's compilation, so none has a deadline; the same examples in every run.
settings.register_profile("sparring", deadline=None, derandomize=True)
settings.load_profile("sparring")

# Most of the time goes into compiling: it is done roughly, and what one test has compiled, other tests, workers and
# later runs read. Programs that tests start share nothing: some of them are killed while they write.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

ENOUGH = 900_000  # kB; what was compiled for earlier files is rarely needed again


@pytest.fixture(scope="module", autouse=True)
def memory() -> Iterator[None]:
    """Let go of compiled programs when a worker has grown large."""
    yield
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > ENOUGH:
        jax.clear_caches()
        gc.collect()
