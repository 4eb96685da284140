"""Terminal tables of overoptimization curves and scaling fits."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from evalkit.overoptimization.curve import Curve
from evalkit.overoptimization.fits import Array, Interval, ScalingFit, SizeTrend, number


def curve_table(curve: Curve, title: str) -> Table:
    """Return n, distance, proxy and gold with their bands, a row for each n."""
    table = _table(
        title, "n", "d = sqrt(KL)", "proxy", f"{curve.level:.0%} band", "gold", f"{curve.level:.0%} band"
    )
    for index, n in enumerate(curve.n):
        mark = " *" if index == curve.best else ""
        table.add_row(
            f"{n:,}{mark}",
            f"{curve.d[index]:.3f}",
            f"{curve.proxy[index]:+.4g}",
            _band(curve.proxy_low, curve.proxy_high, index),
            f"{curve.gold[index]:+.4g}",
            _band(curve.gold_low, curve.gold_high, index),
        )
    table.caption = "gains over the starting policy (n = 1); * highest gold measured"
    table.caption_justify = "left"
    return table


def fit_table(labels: Sequence[str], laws: Sequence[ScalingFit]) -> Table:
    """Return coefficients, fit and peak, a row for each law with Student's t intervals."""
    level = f"{laws[0].level:.0%}"
    title = f"gold = {laws[0].formula}, with {level} intervals"
    table = _table(title, "", "points", "alpha", "beta", "r2", "peak d", "peak gold")
    for label, law in zip(labels, laws, strict=True):
        table.add_row(
            Text(label),
            str(law.points),
            _plus_minus(law.alpha, law.alpha_interval),
            _plus_minus(law.beta, law.beta_interval),
            number(law.r2),
            number(law.peak_d),
            number(law.peak_gold),
        )
    return table


def trend_table(alpha: SizeTrend, beta: SizeTrend) -> Table:
    """Return how alpha and beta change with the logarithm of a size."""
    title = f"against ln(size), {alpha.level:.0%} intervals"
    table = _table(title, "", "slope", "intercept")
    for name, trend in (("alpha", alpha), ("beta", beta)):
        table.add_row(
            name,
            _plus_minus(trend.slope, trend.slope_interval),
            _plus_minus(trend.intercept, trend.intercept_interval),
        )
    return table


def _plus_minus(centre: float, ends: Interval | None) -> str:
    """Return a coefficient with half the width of Student's t interval, which is symmetric."""
    return f"{centre:.4g}" if ends is None else f"{centre:.4g} ± {(ends[1] - ends[0]) / 2:.2g}"


def _band(low: Array | None, high: Array | None, index: int) -> str:
    return "-" if low is None or high is None else f"{low[index]:+.3g} to {high[index]:+.3g}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table
