"""A specification, the one string that names a scorer, judge or policy, and how its loader is found.

    FOLDER_OR_HUB_ID?dtype=bfloat16         a model: any text without a known scheme
    rule:pattern?pattern=REGEX&count=true   scheme:rest?option=value&option=value
    ensemble:rule:length%3Fweight=-1,MODEL  a list; reserved characters of a member are percent-encoded

A scheme is an entry point of the group `evalkit.scorers`, `evalkit.judges` or `evalkit.policies`, looked up
on first use. Its loader takes the `Spec` (a judge's also the session) and returns the object, or raises
`SpecError`; `Spec.option`, `flag` and `allow` check the options.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast
from urllib.parse import unquote

from rewards.errors import SpecError

LISTS = ("ensemble", "jury")
"""Schemes whose rest is specifications with commas, which their loaders decode one by one."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed `scheme:rest?option=value&...`."""

    text: str
    scheme: str
    rest: str
    options: Mapping[str, str]

    def option(self, name: str, default: float) -> float:
        """Return a numeric option.

        Raises:
            SpecError: The value is not a number.
        """
        value = self.options.get(name)
        if value is None:
            return default
        try:
            return float(value)
        except ValueError:
            raise SpecError(f"{self.text}: option {name} is a number, got {value!r}") from None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an option that is `true` or `false`.

        Raises:
            SpecError: The value is neither.
        """
        value = self.options.get(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise SpecError(f"{self.text}: option {name} is true or false, got {value!r}")
        return value == "true"

    def allow(self, *names: str) -> None:
        """Refuse unknown options.

        Raises:
            SpecError: An option is not among `names`.
        """
        for name in self.options:
            if name not in names:
                known = ", ".join(names) or "none"
                raise SpecError(f"{self.text}: unknown option {name!r}; known: {known}")


def parse_spec(text: str, schemes: Sequence[str]) -> Spec:
    """Parse a specification; a text that begins with none of `schemes` is a model folder or Hub id.

    Args:
        text: `scheme:rest?option=value&...`, percent-encoded where a part holds reserved characters.
        schemes: The known schemes.

    Raises:
        SpecError: The text is empty, has an unknown scheme, or an option without a value or given twice.
    """
    if not text:
        raise SpecError("an empty specification names nothing")
    body, _, query = text.partition("?")
    scheme, colon, rest = body.partition(":")
    if colon and scheme in schemes:
        rest = unquote(rest) if scheme not in LISTS else rest
    elif colon and not Path(body).exists():
        known = ", ".join(sorted(schemes))
        raise SpecError(f"{text}: unknown scheme {scheme!r}; known: {known}, or a model folder or Hub id")
    else:
        scheme, rest = "model", unquote(body)
    options: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = (unquote(part) for part in pair.partition("="))
        if not name or not equals:
            raise SpecError(f"{text}: options have the form name=value&name=value, got {query!r}")
        if name in options:
            raise SpecError(f"{text}: option {name!r} is given twice")
        options[name] = value
    return Spec(text, scheme, rest, options)


def load_by_spec(text: str, group: str) -> object:
    """Find the loader of a specification among a group of entry points, and call it.

    Args:
        text: The specification.
        group: The entry points' group, such as `evalkit.scorers`.

    Raises:
        SpecError: No entry point has the scheme.
    """
    loaders = {point.name: point for point in entry_points(group=group)}
    spec = parse_spec(text, [name for name in loaders if name != "model"])
    if spec.scheme not in loaders:
        raise SpecError(f"{text}: nothing installed loads a {spec.scheme!r} from group {group!r}")
    loader = cast(Callable[[Spec], object], loaders[spec.scheme].load())
    return loader(spec)
