"""Functions that Numba compiles, loaded when the first of them is called: no other game needs Numba to be installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sparring.errors import require


def njit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`numba.njit(**options)` as a decorator of functions at the top of a module.

    Compiled functions can call each other only as what Numba makes of them. So the first call of one replaces all that
    are marked so in its module.

    Raises:
      InputError: at the first call, if Numba is not installed; the message is the command that installs it.
    """
    return functools.partial(_Uncompiled, options)


class _Uncompiled:
    def __init__(self, options: dict[str, Any], function: Callable[..., Any]) -> None:
        self.options, self.function = options, function
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled()(*arguments)

    def compiled(self) -> Callable[..., Any]:
        """Numba's function, of which there is one however often it is asked for."""
        module, name = self.function.__globals__, self.function.__name__
        if module[name] is self:
            numba = require("numba", "exact")
            for marked, value in list(module.items()):
                if isinstance(value, _Uncompiled) and value.function.__globals__ is module:
                    module[marked] = numba.njit(**value.options)(value.function)
        return module[name]
