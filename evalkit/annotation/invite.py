"""`evalkit labels invite`: personal links for annotators, or renewed ones."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evalkit.annotation.config import LabelsInvite
from evalkit.annotation.links import check_free, hand_out
from evalkit.runs import say
from judges.human.web.reach import checked_address, sign_in_link
from rewards.errors import ConfigError

if TYPE_CHECKING:  # imported where it is used: it needs the extra `web`
    from judges.human.store import Store


def run(config: LabelsInvite) -> None:
    """Make links, and print them or write them to a file; existing links stay valid unless renewed.

    Raises:
        MissingFileError: There is no such store.
        ConfigError: No name is given, a name is invalid, or it has no link to renew.
        OutputExistsError: The file for links exists.
    """
    from judges.human.database.people import check_name
    from judges.human.store import Store

    names = list(dict.fromkeys(config.annotators))
    if not names:
        raise ConfigError("annotators names nobody; give names, as in --annotators [ann,bob]")
    for name in names:
        check_name(name)
    address = checked_address(config.address)
    check_free(config.links)
    with Store(config.db, create=False) as store:
        _check_known(store, names if config.renew else [])
        made = hand_out(_links(store, names, address, config.renew), config.links)
    if kept := [name for name in names if name not in made]:
        say(f"Have a link: {', '.join(kept)}; --renew true makes new ones")


def _links(store: "Store", names: list[str], address: str, renew: bool) -> Iterator[tuple[str, str]]:
    for name in names:
        invitation = store.renew(name) if renew else store.invite(name)
        if invitation.token is not None:
            yield name, sign_in_link(address, invitation.annotator.id, invitation.token)


def _check_known(store: "Store", names: list[str]) -> None:
    """Refuse unknown names, before any link is invalidated."""
    there = [annotator.name for annotator in store.annotators()]
    for name in names:
        if name not in there:
            known = ", ".join(there) or "nobody"
            raise ConfigError(f"{store.name}: there is no annotator {name!r} to renew; there are {known}")
