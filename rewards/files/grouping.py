"""Grouping by prompt: over the whole input, or within a window of rows so that memory stays bounded."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rewards.errors import ConfigError, DataError
from rewards.records import Prompt, prompt_key, text_hash

T = TypeVar("T")


def group_by_prompt(items: Iterable[T], prompt: Callable[[T], Prompt], window: int = 0) -> Iterator[list[T]]:
    """Yield the items of each prompt together, in the order in which the prompts first appear.

    Args:
        items: What to group.
        prompt: Returns an item's prompt.
        window: 0 groups over the whole input, which is then held in memory. Otherwise all items of a prompt
            lie within `window` items from its first; memory holds that many, and 16 bytes for each
            finished prompt.

    Raises:
        ConfigError: The window is negative.
        DataError: A prompt returns after its window has passed.
    """
    if window < 0:
        raise ConfigError(f"window is a number of rows, or 0 for the whole input; got {window}")
    return _within(items, prompt, window) if window else _whole(items, prompt)


def _whole(items: Iterable[T], prompt: Callable[[T], Prompt]) -> Iterator[list[T]]:
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(prompt_key(prompt(item)), []).append(item)
    yield from groups.values()


def _within(items: Iterable[T], prompt: Callable[[T], Prompt], window: int) -> Iterator[list[T]]:
    waiting: dict[bytes, tuple[int, list[T]]] = {}  # in order of first appearance
    done: set[bytes] = set()
    for number, item in enumerate(items, 1):
        while waiting:
            oldest, (first, group) = next(iter(waiting.items()))
            if number - first < window:
                break
            del waiting[oldest]
            done.add(oldest)
            yield group
        text = prompt_key(prompt(item))
        key = text_hash(text, 16)
        if key in done:
            raise DataError(
                f"row {number}: the prompt {text[:60]!r} was last met more than a window of {window} rows "
                "ago; raise --window, or set it to 0 to group over the whole input"
            )
        waiting.setdefault(key, (number, []))[1].append(item)
    yield from (group for _, group in waiting.values())
