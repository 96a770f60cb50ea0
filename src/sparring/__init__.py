"""How badly can another agent make a trained agent fail, and how visible would that attack be?

Every public name is listed here and loaded when it is first used, so that `import sparring` costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what the type checker sees of `_WHERE`
    from sparring.commands.attack import attack
    from sparring.commands.audit import audit
    from sparring.commands.budgets import budgets
    from sparring.commands.certify import certify
    from sparring.commands.compare import compare
    from sparring.commands.defend import defend
    from sparring.commands.evaluate import evaluate
    from sparring.commands.solve import best_response, exploitability, robust_policy
    from sparring.commands.stealth import stealth
    from sparring.commands.study import study
    from sparring.errors import InputError
    from sparring.exact.certificate import verify
    from sparring.games import make as make_game
    from sparring.games.export import make_parallel_env
    from sparring.loaders import load as load_policy
    from sparring.loaders.native import save as save_policy
    from sparring.mixture import mix
    from sparring.testing import check_game, check_policy
    from sparring.types import ThreatModel

# Public name -> module:name.
_WHERE = {
    "InputError": "sparring.errors:InputError",
    "ThreatModel": "sparring.types:ThreatModel",
    "attack": "sparring.commands.attack:attack",
    "audit": "sparring.commands.audit:audit",
    "best_response": "sparring.commands.solve:best_response",
    "budgets": "sparring.commands.budgets:budgets",
    "certify": "sparring.commands.certify:certify",
    "compare": "sparring.commands.compare:compare",
    "check_game": "sparring.testing:check_game",
    "check_policy": "sparring.testing:check_policy",
    "defend": "sparring.commands.defend:defend",
    "evaluate": "sparring.commands.evaluate:evaluate",
    "exploitability": "sparring.commands.solve:exploitability",
    "load_policy": "sparring.loaders:load",
    "make_game": "sparring.games:make",
    "make_parallel_env": "sparring.games.export:make_parallel_env",
    "mix": "sparring.mixture:mix",
    "robust_policy": "sparring.commands.solve:robust_policy",
    "save_policy": "sparring.loaders.native:save",
    "stealth": "sparring.commands.stealth:stealth",
    "study": "sparring.commands.study:study",
    "verify": "sparring.exact.certificate:verify",
}

__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
