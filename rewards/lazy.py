"""Names of a package imported when first used, so that importing the package costs nothing."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def names_on_demand(package: str, places: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package (PEP 562) that imports each of its names when first used.

    Args:
        package: The package's `__name__`.
        places: Module of the package -> names that it defines.
    """
    module_of = {name: module for module, names in places.items() for name in names}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)  # the next use costs a look-up
        return value

    return get
