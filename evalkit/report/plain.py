"""Results as JSON values: dictionaries, lists, strings and finite numbers."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np


def plain_values(value: object) -> object:
    """Return a result as JSON values, recursively; NaN and infinities become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain_values(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [plain_values(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain_values(tuple(value.tolist()))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
