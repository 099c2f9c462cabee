"""Keys of other products in a file → what is said about them once, and the names in `env` that cannot be used.

The table of the keys is `products`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from durable.config.fields import Table
from durable.config.products import ADVICE, NO_EFFECT, PRODUCTS, Product
from durable.config.schema import ConfigWarning, UnservedBinding

__all__ = ["read_unacted", "read_unserved"]

NAMES_SHOWN_MAX = 5
"""Bindings of one key that a sentence names."""


def read_unserved(own: Table, file: str) -> tuple[UnservedBinding, ...]:
    """The bindings of products that are not here; the first that has a name keeps it. `file` is for the sentence."""
    found: dict[str, UnservedBinding] = {}
    for key, product in PRODUCTS.items():
        for name in _names(own.values.get(key), product):
            advice = f" {ADVICE[key]}" if key in ADVICE else ""
            sentence = f'env.{name} is {product.title} ("{key}" in {file}), which is not served here.{advice}'
            place = own.document.location((*own.path, key), key=True)
            found.setdefault(name, UnservedBinding(name, key, sentence, place))
    return tuple(found.values())


def read_unacted(top: Table, chosen: Table | None, unserved: tuple[UnservedBinding, ...]) -> tuple[ConfigWarning, ...]:
    """One notice for each product, then one that names all other keys without effect, by what that means."""
    own = chosen or top
    notices = [_product_notice(own, key, unserved) for key, value in own.values.items() if value and key in PRODUCTS]
    meanings: dict[str, list[str]] = {}
    first: ConfigWarning | None = None
    for table in (top,) if chosen is None else (top, chosen):
        for key in table.values:
            if key in NO_EFFECT and not any(key in keys for keys in meanings.values()):
                meanings.setdefault(NO_EFFECT[key], []).append(key)
                first = first or table.warning(key, "")
    if first is not None:
        listed = "; ".join(f"{', '.join(keys)} ({meaning})" for meaning, keys in meanings.items())
        notices.append(ConfigWarning(f"without effect here: {listed}.", first.location))
    return tuple(notices)


def _product_notice(own: Table, key: str, unserved: tuple[UnservedBinding, ...]) -> ConfigWarning:
    names = [f"env.{each.name}" for each in unserved if each.key == key]
    shown = ", ".join(names[:NAMES_SHOWN_MAX]) + (", …" if len(names) > NAMES_SHOWN_MAX else "")
    fails = f"{shown} {'fails' if len(names) == 1 else 'fail'} when used: " if names else ""
    message = f'"{key}": {fails}{PRODUCTS[key].title} is not served here.'
    return own.warning(key, message, ADVICE.get(key, "") if names else "")


def _names(value: object, product: Product) -> list[str]:
    """The names that a key's value binds, whichever of its shapes it has; what has none is wrangler's to refuse."""
    if product.within and isinstance(value, dict):
        value = cast("Mapping[str, object]", value).get(product.within)
    entries = cast("list[object]", value) if isinstance(value, list) else [value]
    found: list[str] = []
    for entry in entries:
        if isinstance(entry, dict):
            name = cast("Mapping[str, object]", entry).get(product.binding)
            if isinstance(name, str) and name.isidentifier():
                found.append(name)
    return found
