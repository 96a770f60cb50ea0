"""Classes as JAX pytrees, registered when they are first needed, so that their modules load without JAX."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from sparring.errors import InputError

T = TypeVar("T")


def register(cls: type, data: tuple[str, ...], meta: tuple[str, ...]) -> None:
    """Make a class a pytree of its `data` attributes; the `meta` ones are static, the others are left out.

    Not `jax.tree_util.register_dataclass`: under JAX 0.10 the structures of two classes registered so compare equal if
    their meta fields do, and a compiled function of the one can then be called for the other. Here the class is part
    of the structure.
    """
    import jax

    def flatten(value: Any) -> tuple[list[tuple[Any, Any]], Any]:
        children = [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in data]
        return children, (cls, *(getattr(value, name) for name in meta))

    def unflatten(aux: Any, children: Any) -> Any:
        value = object.__new__(cls)
        for name, part in (*zip(data, children, strict=True), *zip(meta, aux[1:], strict=True)):
            object.__setattr__(value, name, part)
        return value

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)


_REGISTERED: set[type] = set()


def traceable(game: T) -> T:
    """A functional game as a pytree that does not carry its name: games of the same shapes share one compilation.

    A class that lists its arrays in `TRACED` and its sizes in `STATIC` is registered so; a dataclass that is a pytree
    already (an Equinox module) gets an empty `id`. Any other game is taken as it is, and each instance is compiled.

    Raises:
      InputError: a game that is neither a pytree nor hashable.
    """
    import jax

    cls = type(game)
    if "TRACED" in vars(cls):
        if cls not in _REGISTERED:
            register(cls, cls.TRACED, cls.STATIC)  # pyright: ignore[reportAttributeAccessIssue]
            _REGISTERED.add(cls)
    elif jax.tree_util.all_leaves([game]):
        try:
            hash(game)
        except TypeError as error:
            name = getattr(game, "id", cls.__name__)
            raise InputError(
                f"{name}: {cls.__name__} can neither be traced by JAX nor hashed ({error}): "
                "make it an equinox.Module, or a class that is compared by identity (dataclass(eq=False))"
            ) from error
    elif is_dataclass(game) and not isinstance(game, type) and "id" in {field.name for field in fields(game)}:
        return replace(game, id="")
    return game
