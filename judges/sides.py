"""Two systems' files of responses as comparisons: matched by id or prompt, unmatched rows counted."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from judges.judge import Comparison
from rewards.errors import ConfigError, DataError
from rewards.files import Row, generations, read_rows
from rewards.records import Generation, prompt_hash, text_hash

Unmatched = Literal["refuse", "leave"]

BY_PROMPT = '--rename {"id": "row"} matches by prompt'
"""What helps where ids of two files have nothing to do with each other."""

Index: TypeAlias = dict[bytes, tuple[str, bytes]]
"""Each row's key, with its place in the file and its prompt's digest."""


@dataclass(frozen=True)
class Side:
    """One system's responses."""

    source: str
    """File, folder or Hub name."""
    name: str
    rename: Mapping[str, str] = field(default_factory=dict)

    def generations(self) -> Iterator[tuple[Row, Generation]]:
        """Yield each row and its one response.

        Raises:
            DataError: A row has several responses, or is broken.
        """
        for row in read_rows(self.source, rename=self.rename):
            responses = generations(row)
            if len(responses) != 1:
                raise row.expected(
                    "responses",
                    "one response to a row; `evalkit select` chooses one of several",
                    len(responses),
                )
            yield row, responses[0]


@dataclass(frozen=True)
class Matching:
    """How the rows of two sides match."""

    by_id: bool
    """Whether ids match rows; else their prompts do."""
    same_order: bool
    """Whether both files hold the same rows in the same order, so that they can be read side by side."""
    both: frozenset[bytes]
    """Keys that both have."""
    left_out: tuple[int, int]
    """Rows of the first, and of the second, that the other lacks."""


def match_sides(first: Side, second: Side, unmatched: Unmatched = "refuse") -> Matching:
    """Read both files once and match their rows.

    Rows match by `id` where every row of both has one, else by prompt.

    Raises:
        DataError: A key stands twice in a file, equal ids have different prompts, or a row has no partner
            and `unmatched` refuses that; or none has.
    """
    if first.name == second.name:
        raise ConfigError(
            f"both systems are named {first.name!r}; tell them apart with --first_name and --second_name"
        )
    by_id, ours, theirs = _indices(first, second)
    both = ours.keys() & theirs.keys()
    what = "id" if by_id else "prompt"
    alone = [(first, second, [key for key in ours if key not in both], ours)]
    alone.append((second, first, [key for key in theirs if key not in both], theirs))
    if not both:
        remedy = (
            f"{BY_PROMPT} instead" if by_id else "matched are texts of column prompt; --rename maps names"
        )
        raise DataError(f"{first.source} and {second.source}: no {what} stands in both; {remedy}")
    for side, other, keys, index in alone:
        if keys and unmatched == "refuse":
            raise DataError(
                f"{side.source}: {len(keys)} of {len(index)} rows have no partner in {other.source}, matched "
                f"by {what}, the first {index[keys[0]][0]}; --unmatched leave leaves them out and counts them"
            )
    if by_id:
        _check_prompts(ours, theirs, both)
    same = list(ours) == list(theirs)
    return Matching(by_id, same, frozenset(both), (len(alone[0][2]), len(alone[1][2])))


@dataclass(frozen=True)
class SideComparisons:
    """The comparisons of two sides, read anew each time they are iterated."""

    first: Side
    second: Side
    matching: Matching
    """As `match_sides` returns it."""
    limit: int = 0
    """Most comparisons; 0 takes all."""

    def __iter__(self) -> Iterator[Comparison]:
        """Yield the comparisons in the first file's order; the second is held in memory if it has another."""
        matching = self.matching
        partners: Iterator[Generation] | None = None
        held: dict[bytes, Generation] = {}
        if matching.same_order:
            partners = (generation for _, generation in self.second.generations())
        else:
            pairs = ((_key(one, matching.by_id), one) for _, one in self.second.generations())
            held = {key: one for key, one in pairs if key in matching.both}
        given = 0
        for row, ours in self.first.generations():
            if self.limit and given == self.limit:
                return
            key = _key(ours, matching.by_id)
            if key in matching.both:
                given += 1
                theirs = next(partners) if partners else held.pop(key)
                yield _comparison(row, ours, theirs, self.first.name, self.second.name)


def side_name(source: str, given: str) -> str:
    """Return a system's name: the one given, or its file's without suffixes."""
    name = Path(source.removeprefix("hub:")).name
    return given or name.split(".")[0] or source


def _comparison(row: Row, ours: Generation, theirs: Generation, first: str, second: str) -> Comparison:
    extra: dict[str, object] = {}
    for name in {**ours.extra, **theirs.extra}:
        mine, other = ours.extra.get(name), theirs.extra.get(name)
        if mine == other or other is None:
            extra[name] = mine
        elif mine is None:
            extra[name] = other
        else:
            extra |= {f"first_{name}": mine, f"second_{name}": other}
    extra |= {"first_system": first, "second_system": second}
    return Comparison(ours.prompt, ours.response, theirs.response, ours.id or str(row.number), extra)


def _indices(first: Side, second: Side) -> tuple[bool, Index, Index]:
    """Return whether ids are the keys, and both sides' rows by key."""
    by_id = [_index(side, by_id=True) for side in (first, second)]
    if all(index is not None for index in by_id):
        return True, by_id[0] or {}, by_id[1] or {}
    by_prompt = [_index(side, by_id=False) or {} for side in (first, second)]
    return False, by_prompt[0], by_prompt[1]


def _index(side: Side, by_id: bool) -> Index | None:
    """Return each row's key with its place and its prompt's digest; None where a row has no id."""
    index: Index = {}
    for row, generation in side.generations():
        if by_id and not generation.id:
            return None
        key = _key(generation, by_id)
        if key in index:
            what, remedy = ("id", "") if by_id else ("prompt", "; give the rows distinct ids")
            raise DataError(f"{row.where}: the same {what} as {index[key][0]}{remedy}")
        index[key] = (row.where, prompt_hash(generation.prompt, 16))
    return index


def _check_prompts(ours: Index, theirs: Index, both: Set[bytes]) -> None:
    for key in ours:
        if key in both and ours[key][1] != theirs[key][1]:
            raise DataError(
                f"{ours[key][0]} and {theirs[key][0]}: one id, but two prompts; where ids of the two "
                f"files have nothing to do with each other, {BY_PROMPT}"
            )


def _key(generation: Generation, by_id: bool) -> bytes:
    return text_hash(generation.id, 16) if by_id else prompt_hash(generation.prompt, 16)
