"""What the commands of an annotation study found beside what is true in its world: table and figure.

Win rates are the first system's.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from evalkit.experiments.simulated_annotators.world import (
    JUDGE,
    KINDS,
    PEOPLE,
    agreement,
    kappa,
    people_win_rate,
    votes,
)
from evalkit.report.csv import write_csv
from rewards.files import read_rows

PERSON = "human:"


@dataclass(frozen=True, slots=True)
class Known:
    """A figure with its interval, and what it is of infinitely many labels."""

    name: str
    command: str
    truth: float | None
    """None where only the estimate is known."""
    mean: float
    low: float
    high: float
    meant_to_miss: bool = False
    """Whether the figure is taken for something that it does not tell."""

    @property
    def holds(self) -> bool | None:
        """Whether the interval holds the truth; None where it is not known, or not meant to."""
        if self.truth is None or self.meant_to_miss:
            return None
        return self.low <= self.truth <= self.high


def findings(work: Path) -> list[Known]:
    """Return every figure of a study's folder beside its truth."""
    status = json.loads((work / "status.json").read_text(encoding="utf-8"))
    halfway = json.loads((work / "halfway.json").read_text(encoding="utf-8"))
    return [
        *_people(status),
        *_by_person(work),
        *_agreement(work, status),
        *_win_rates(work, status, halfway),
        *_models(work),
    ]


def _people(status: Mapping[str, Any]) -> Iterator[Known]:
    told = {one["name"]: one for one in status["annotators"]}
    for person in PEOPLE:
        yield _known(
            f"{person.name}: planted checks right", "labels status", person.odds(0)[0],
            told[person.name]["checks"],
        )  # fmt: skip
    for person in PEOPLE:
        yield _known(
            f"{person.name}: chooses the answer on the left", "labels status", person.left_share(),
            told[person.name]["shown_first"],
        )  # fmt: skip


def _by_person(work: Path) -> Iterator[Known]:
    rows = {row["judge"]: row for row in _rows(work / "people" / "winrate.csv")}
    for person in PEOPLE:
        said = [(kind.share, votes(person, place)) for place, kind in enumerate(KINDS)]
        truth = sum(share * (vote["first"] + vote["tie"] / 2) for share, vote in said)
        row = rows[PERSON + person.name]
        yield _known(f"{person.name}: win rate", "winrate", truth, row, "win_rate", "")


def _agreement(work: Path, status: Mapping[str, Any]) -> Iterator[Known]:
    rows = {
        (row["first"], row["second"], row["coefficient"]): row
        for row in _rows(work / "agreement" / "agreement.csv")
    }
    for a, b in combinations(PEOPLE, 2):
        names = PERSON + a.name, PERSON + b.name
        row = rows.get((*names, "cohen")) or rows[*names[::-1], "cohen"]
        yield _known(f"{a.name} and {b.name}: Cohen's kappa", "agreement", kappa(a, b)[1], row, "value", "")
    percent, alpha = (one["found"] for one in status["agreement"][:2])
    truths = agreement()
    yield _known("two people say the same", "labels status", truths[0], percent, "value")
    yield _known("Krippendorff's alpha of all", "labels status", truths[1], alpha, "value")


def _win_rates(work: Path, status: Mapping[str, Any], halfway: Mapping[str, Any]) -> Iterator[Known]:
    judged = _rows(work / "corrected" / "winrate.csv")[0]
    people, flattered = people_win_rate(), JUDGE.win_rate()
    of = "win rate by"
    yield _known("judge: what stands first wins", "winrate", JUDGE.first_share(), judged, "shown_first")
    yield _known(f"{of} the judge, as it judges", "winrate", flattered, judged, "win_rate", "")
    yield _known(f"{of} the judge, taken for people's", "winrate", people, judged, "win_rate", "", miss=True)
    yield _known(
        f"{of} people, half-way", "labels status", people, halfway["compared"][0]["rate"],
    )  # fmt: skip
    yield _known(f"{of} people", "labels status", people, status["compared"][0]["rate"])
    yield _known(f"{of} the judge, corrected by people", "winrate --human", people, judged, "human_corrected")
    beside = halfway["compared"][0]["judges"][0]["corrected"]
    yield _known(f"{of} the judge, corrected by people half-way", "labels status", people, beside)


def _models(work: Path) -> Iterator[Known]:
    for name in ("people", "judge"):
        report = json.loads((work / f"report_of_{name}" / "report.json").read_text(encoding="utf-8"))
        told = f"reward model of {name}"
        yield _known(f"{told}: held-out accuracy", "evaluate", None, report["pairs"]["accuracy"])
        best = report["baselines"][0]
        yield _known(f"{told}: ahead of '{best['name']}'", "evaluate", None, best["advantage"])


def _known(
    name: str, command: str, truth: float | None, told: Mapping[str, Any], mean: str = "mean",
    prefix: str | None = None, *, miss: bool = False,
) -> Known:  # fmt: skip
    """Return a figure of JSON, or of a csv row whose columns begin alike or with `prefix`."""
    start = "" if mean in ("mean", "value") or prefix == "" else f"{mean}_"
    low, high = (float(told[start + end]) for end in ("low", "high"))
    return Known(name, command, truth, float(told[mean]), low, high, meant_to_miss=miss)


def write_table(studies: Sequence[Sequence[Known]], seed: int, path: Path) -> None:
    """Write truth and interval side by side; `seed` is the first study's."""
    rows = []
    for number, known in enumerate(studies, seed):
        for one in known:
            numbers = {"truth": one.truth, "estimate": one.mean, "low": one.low, "high": one.high}
            rounded = {name: None if value is None else round(value, 4) for name, value in numbers.items()}
            named = {"seed": number, "figure": one.name, "command": one.command}
            rows.append({**named, **rounded, "holds": _holds(one)})
    write_csv(path, rows)


def _holds(one: Known) -> str:
    if one.meant_to_miss:
        return "no, and is not to" if not one.low <= (one.truth or 0.0) <= one.high else "yes, by chance"
    return {True: "yes", False: "no", None: ""}[one.holds]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_rows(str(path))]
