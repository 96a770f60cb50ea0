from __future__ import annotations

from hypothesis import settings

# The first example pays for JAX's compilation, so none has a deadline; the same examples in every run.
settings.register_profile("sparring", deadline=None, derandomize=True)
settings.load_profile("sparring")
