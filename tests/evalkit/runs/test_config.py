"""Groups of options check their own values, whatever else a configuration is made of."""

import inspect
from dataclasses import dataclass

import pytest

from evalkit.cli import COMMANDS
from evalkit.runs.config import Limited, Replacing, Resampled
from judges.asking.config import AskingConfig
from rewards.config import Checked
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Several(AskingConfig, Replacing, Limited, Resampled):
    """Options of several groups; it has no checks of its own."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": -1}, "limit is 0 or more, got -1"),
        ({"tries": 0}, "tries is 1 or more, got 0"),
        ({"bootstrap": 0}, "bootstrap is 1 or more, got 0"),
        ({"bootstrap": -5}, "bootstrap is 1 or more, got -5"),
        ({"level": 2.0}, "level is between 0 and 1, got 2.0"),
        ({"level": 0.0}, "level is between 0 and 1, got 0.0"),
        ({"seed": -1}, "seed is 0 or more, got -1"),
    ],
)
def test_each_group_of_a_configuration_checks_its_options(given, message):
    assert Several() == Several(limit=0, tries=6)
    with pytest.raises(ConfigError) as caught:
        Several(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", COMMANDS)
def test_no_check_of_a_command_passes_over_the_next(name):
    for kind in COMMANDS[name].config.__mro__:
        own = vars(kind).get("__post_init__")
        if own is not None and kind is not Checked:
            assert "super().__post_init__()" in inspect.getsource(own), kind
