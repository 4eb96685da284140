"""Configurations of `evalkit overopt` and `evalkit fit`."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Intervals, Renaming, Replacing, Resampled
from evalkit.runs.files import refuse_own_input


@dataclass(frozen=True)
class Overopt(Renaming, Resampled, Replacing):
    """Gold against proxy as best-of-n optimises the proxy harder, with a fitted curve."""

    data: str
    """Rows {prompt, responses}, or {prompt, response} with many rows to a prompt."""
    proxy: list[str] | str
    """Proxy reward, which is optimised; a list, as [A,B], draws a curve for each."""
    gold: str
    """Gold reward: scorer of the true quality."""
    out: str
    """Folder for curve.png, curve.csv, fit.json and scores.jsonl."""
    n: list[int] = field(default_factory=list)
    """Sizes n; empty takes the powers of two."""

    def __post_init__(self) -> None:
        super().__post_init__()
        proxies = [self.proxy] if isinstance(self.proxy, str) else self.proxy
        refuse_own_input(self.out, self.data, self.gold, *proxies)


@dataclass(frozen=True)
class Fit(Renaming, Intervals, Replacing):
    """Fit the scaling law to a table of measured points."""

    data: str
    """Table with columns d or kl (nats), gold, and optionally weight and a group."""
    out: str
    """Folder for fit.json and fit.png."""
    form: Literal["best-of-n", "rl"] = "best-of-n"
    """d(alpha - beta d), or d(alpha - beta ln d)."""
    group: str = ""
    """Column that splits the points into curves; if numeric, alpha and beta are fitted to its logarithm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_own_input(self.out, self.data)
