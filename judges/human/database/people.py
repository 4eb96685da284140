"""Annotators in the store, and their personal links, of which only a digest is kept."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from judges.human.database.schema import ANNOTATORS
from judges.human.labels import Annotator
from rewards.errors import ConfigError

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Invitation:
    """An annotator and, where a link was made just now, its token: returned this once and never again."""

    annotator: Annotator
    token: str | None

    def __repr__(self) -> str:
        return f"Invitation({self.annotator!r})"  # a token in a log would be a way in


def invite(connection: Connection, name: str) -> Invitation:
    """Make an annotator of this name with a link; one who has a link keeps it."""
    number = people(connection, [name])[name]
    found = select(ANNOTATORS.c.token).where(ANNOTATORS.c.id == number)
    if connection.execute(found).scalar_one() is not None:
        return Invitation(Annotator(number, name), None)
    return _with_link(connection, Annotator(number, name))


def renew(connection: Connection, name: str) -> Invitation:
    """Make a new link for an annotator; the old one leads nowhere from now on."""
    check_name(name)
    number = connection.execute(
        select(ANNOTATORS.c.id).where(ANNOTATORS.c.name == name)
    ).scalar_one_or_none()  # fmt: skip
    if number is None:
        raise ConfigError(f"there is no annotator {name!r}; invite them first, without renewing")
    return _with_link(connection, Annotator(number, name))


def annotators(connection: Connection) -> list[Annotator]:
    """Return all annotators, the first made first."""
    rows = connection.execute(select(ANNOTATORS.c.id, ANNOTATORS.c.name).order_by(ANNOTATORS.c.id))
    return [Annotator(row.id, row.name) for row in rows]


def signed_in(connection: Connection, number: int, token: str) -> Annotator | None:
    """Return the annotator whom a link belongs to, None for a forged or ended one."""
    if not 0 < number < 2**31:
        return None
    row = connection.execute(
        select(ANNOTATORS.c.name, ANNOTATORS.c.token).where(ANNOTATORS.c.id == number)
    ).one_or_none()
    # Compared as well where there is no such annotator, which then takes as long.
    kept = row.token if row is not None and row.token is not None else _digest("")
    right = hmac.compare_digest(_digest(token), kept)
    return Annotator(number, row.name) if row is not None and row.token is not None and right else None


def people(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return annotators' numbers by name; those who are new are made, without a link."""
    for name in names:
        check_name(name)
    rows = connection.execute(
        select(ANNOTATORS.c.name, ANNOTATORS.c.id).where(ANNOTATORS.c.name.in_(list(names)))
    )
    found = {row.name: row.id for row in rows}
    for name in sorted(set(names) - set(found)):
        made = insert(ANNOTATORS).values(name=name, token=None).returning(ANNOTATORS.c.id)
        found[name] = connection.execute(made).scalar_one()
    return found


def check_name(name: str) -> None:
    """Check that a name fits on one line and can be stored.

    Raises:
        ConfigError: It cannot.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"an annotator's name is a text of 1 to {LONGEST_NAME} characters that can be printed, "
            f"got {str(name)[:40]!r}"
        )


def _with_link(connection: Connection, annotator: Annotator) -> Invitation:
    token = secrets.token_urlsafe(32)
    changed = update(ANNOTATORS).where(ANNOTATORS.c.id == annotator.id).values(token=_digest(token))
    connection.execute(changed)
    return Invitation(annotator, token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
