"""The tables of the overoptimization grid: gold over the distance, and the fits."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from evalkit.experiments.ppo_max.tables import agreement
from evalkit.quickstart.steps import Proxy

Row = dict[str, object]


def curves_and_fits(folder: Path, seed: int, proxies: Sequence[Proxy]) -> tuple[list[Row], list[Row]]:
    """Return the rows of a seed for the two tables."""
    records = json.loads((folder / "curves" / "fit.json").read_text(encoding="utf-8"))["curves"]
    named = {record["proxy"]: (proxy, record) for proxy, record in zip(proxies, records, strict=True)}
    curves = []
    with (folder / "curves" / "curve.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            proxy, record = named[row["scorer"]]
            curves.append(
                {
                    "seed": seed,
                    "size": proxy.size,
                    "labels": proxy.labels,
                    "n": int(row["n"]),
                    "d": round(float(row["d"]), 4),
                    "proxy_gain_in_sd": round(float(row["proxy"]) / record["proxy_sd"], 4),
                    "gold_gain": round(float(row["gold"]), 4),
                }
            )
    keys = ("gold_start", "alpha", "beta", "r2", "peak_n", "peak_share")
    fits = []
    for path, (proxy, record) in named.items():
        numbers = {key: None if record[key] is None else round(record[key], 4) for key in keys}
        best = {
            "best_n": record["best_measured"]["n"],
            "best_gold_gain": round(record["best_measured"]["gold"], 4),
        }
        who = {"seed": seed, "size": proxy.size, "labels": proxy.labels}
        fits.append({**who, "agreement": round(agreement(folder, path), 4), **best, **numbers})
    return curves, fits
