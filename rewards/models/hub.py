"""Names of models and tokenizers: folders and Hub ids, and whether the Hub can be reached."""

import re
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from logging import ERROR
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import logging as hub_logging
from transformers import AutoTokenizer
from transformers.utils import logging

from rewards.errors import MissingFileError, ModelError

HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")
REACH_SECONDS = 3.0


def check_model_name(name: str) -> None:
    """Refuse a name that is neither a folder nor a valid Hub id, before any network request.

    Raises:
        MissingFileError: There is no such folder.
    """
    if not name or (not Path(name).is_dir() and not HUB_ID.fullmatch(name)):
        raise MissingFileError(f"{name or repr(name)}: no such folder")


def loading_options(name: str) -> dict[str, bool]:
    """Return Transformers' loading options for a name: local files only, if the Hub cannot be reached.

    Without them Transformers requests a dozen files and waits between retries, a minute in all.

    Raises:
        MissingFileError: As `check_model_name`.
    """
    check_model_name(name)
    return {"local_files_only": not Path(name).is_dir() and not _hub_answers()}


@cache
def _hub_answers() -> bool:
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        asked = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(asked, timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # an answer, if not the one hoped for
    except OSError as error:
        # Transformers brings its own certificates, so that it may get through where this did not.
        return isinstance(getattr(error, "reason", error), ssl.SSLError)
    return True


def nothing_there(name: str, kind: str, error: BaseException) -> ModelError:
    """Return the error for a model or tokenizer that was not found, for the caller to raise."""
    if Path(name).is_dir():
        return ModelError(f"{name}: no {kind} there ({first_line(error)})")
    if not _hub_answers():
        return ModelError(
            f"{name}: no such folder, and no {kind} kept from the Hub, which is out of reach or switched off"
        )
    return ModelError(f"{name}: no such folder, and no {kind} on the Hub ({first_line(error)})")


def load_tokenizer(name: str, revision: str = "main") -> Any:  # noqa: ANN401  # as above
    """Load a tokenizer.

    Raises:
        MissingFileError: The name is neither a folder nor a Hub id.
        ModelError: There is none by that name.
    """
    options = loading_options(name)
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(name, revision=revision, **options)
    except (OSError, ValueError, KeyError) as error:
        raise nothing_there(name, "tokenizer", error) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Transformers and the Hub from reporting and drawing while they load or train."""
    verbosity, drawn = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity(ERROR)
    hub_logging.set_verbosity(ERROR)
    _draw(False)
    try:
        with warnings.catch_warnings():
            # peft reads this deprecated name of each model; users of a command cannot change that.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        _draw(drawn)


def _draw(on: bool) -> None:
    switch: Callable[[], None] = logging.enable_progress_bar if on else logging.disable_progress_bar
    switch()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
