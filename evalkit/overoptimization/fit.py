"""`evalkit fit`: scaling laws for a user's own table of measured points."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from evalkit import runs
from evalkit.overoptimization.config import Fit
from evalkit.overoptimization.figures import Points, Trends, scaling_figure
from evalkit.overoptimization.fits import (
    ScalingFit,
    fit_best_of_n,
    fit_rl,
    fit_size_trend,
)
from evalkit.overoptimization.kl import distance
from evalkit.overoptimization.tables import fit_table, trend_table
from evalkit.runs.files import atomic_write
from evalkit.runs.terminal import say, show
from rewards.errors import ConfigError, DataError
from rewards.files import Row, read_rows

REPORT, FIGURE = "fit.json", "fit.png"


@dataclass(slots=True)
class MeasuredPoints:
    """The points of one group."""

    d: list[float] = field(default_factory=list)
    gold: list[float] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)


def run(config: Fit) -> None:
    """Fit the law to each group of a table of points, and the coefficients to the logarithm of a size.

    The table has columns `d` (distance) or `kl` (nats; `d` goes before), `gold` (gain over the starting
    policy), and where wanted `weight` (proportional to 1 / variance) and a group.

    Raises:
        DataError: A column is missing, a value is out of range, or a group has too few points.
        OutputExistsError: The folder holds a finished fit.
    """
    groups = read_points(config.data, config.group, config.rename)
    fit = fit_best_of_n if config.form == "best-of-n" else fit_rl
    laws: dict[str, ScalingFit] = {}
    for name, points in groups.items():
        try:
            laws[name] = fit(points.d, points.gold, points.weight, config.level)
        except ConfigError as error:
            place = f"{config.data}: {config.group} {name!r}" if config.group else config.data
            raise DataError(f"{place}: {error}") from None
    trends, note = size_trends(laws, config.level) if config.group else (None, "")
    drawn = [
        Points(name, np.array(points.d), np.array(points.gold), laws[name]) for name, points in groups.items()
    ]
    with runs.run(config, done=REPORT) as folder:
        scaling_figure(drawn, folder / FIGURE, trends)
        with atomic_write(folder / REPORT) as file:
            json.dump(_record(laws, trends, note, config.group), file, indent=2, allow_nan=False)
    show(fit_table(list(laws), list(laws.values())))
    for name, law in laws.items():
        if law.note:
            say(f"{name or 'The points'}: no peak is determined: {law.note}")
    if trends is not None:
        show(trend_table(trends.alpha, trends.beta))
    if note:
        say(note)
    say(f"{folder / FIGURE}\n{folder / REPORT}")


def read_points(source: str, group: str, rename: Mapping[str, str]) -> dict[str, MeasuredPoints]:
    """Return the points of each group by its name, in the order of the file; one group without a column.

    Raises:
        DataError: A column is missing or a value is out of range; the message names file and line.
    """
    groups: dict[str, MeasuredPoints] = {}
    for row in read_rows(source, rename=rename):
        name = _group(row, group) if group else ""
        points = groups.setdefault(name, MeasuredPoints())
        points.d.append(_distance(row))
        points.gold.append(_finite(row, "gold"))
        points.weight.append(_from_zero(row, "weight") if "weight" in row.values else 1.0)
    return groups


def size_trends(laws: Mapping[str, ScalingFit], level: float) -> tuple[Trends | None, str]:
    """Fit alpha and beta to the logarithm of the groups' names, where these are sizes.

    Returns:
        The trends, or None; and notes on them.
    """
    try:
        sizes = [float(name) for name in laws]
    except ValueError:
        return None, ""
    if len(set(sizes)) < 2 or not all(0 < size < math.inf for size in sizes):
        return None, "A trend over the size needs two sizes above 0 or more."
    fits = list(laws.values())
    alpha = fit_size_trend(sizes, [law.alpha for law in fits], level)
    beta = fit_size_trend(sizes, [law.beta for law in fits], level)
    note = "" if len(sizes) > 2 else "Two sizes give a line but no interval: that takes three or more."
    return Trends(sizes, fits, alpha, beta), note


def _group(row: Row, column: str) -> str:
    value = row.column(column)
    if value is None or value == "":
        raise row.expected(column, "the group's name", value)
    return str(value)


def _distance(row: Row) -> float:
    if "d" in row.values:
        return _from_zero(row, "d")
    if "kl" in row.values:
        return distance(_from_zero(row, "kl"))
    raise DataError(f"{row.where}: no column 'd' (distance) or 'kl' (nats), only {', '.join(row.values)}")


def _finite(row: Row, column: str) -> float:
    value = row.number_in(column)
    if not math.isfinite(value):
        raise row.expected(column, "a finite number", value)
    return value


def _from_zero(row: Row, column: str) -> float:
    value = _finite(row, column)
    if value < 0:
        raise row.expected(column, "a number from 0", value)
    return value


def _record(
    laws: Mapping[str, ScalingFit], trends: Trends | None, note: str, group: str
) -> dict[str, object]:
    if not group:
        return asdict(laws[""])
    fits = [{"group": name, **asdict(law)} for name, law in laws.items()]
    record: dict[str, object] = {"column": group, "groups": fits}
    if trends is not None:
        record |= {"alpha_by_ln_size": asdict(trends.alpha), "beta_by_ln_size": asdict(trends.beta)}
    return record | {"note": note}
