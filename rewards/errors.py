"""Every error a user can cause, each also a standard library error."""


class EvalkitError(Exception):
    """A mistake that the user can fix; the command line prints it in one line and exits with 2."""


class ConfigError(EvalkitError, ValueError):
    """A setting or argument outside what is allowed."""


class SpecError(ConfigError):
    """A scorer, judge or policy specification that names nothing."""


class DataError(EvalkitError, ValueError):
    """A file or row that is not what was expected; the message begins with file and line."""


class MissingFileError(EvalkitError, FileNotFoundError):
    """An input that does not exist."""


class OutputExistsError(EvalkitError, FileExistsError):
    """An output that already exists, finished or begun with another configuration."""


class ScoringError(EvalkitError, ValueError):
    """A generation for which a scorer has no score; the message names its id."""


class ModelError(EvalkitError, ValueError):
    """A model folder that cannot be used as asked, such as one whose head was freshly initialised."""


class MissingExtraError(EvalkitError, ImportError):
    """An optional package that is not installed; the message holds the pip line."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'evalkit-rm[{extra}]'")


class TrainingError(EvalkitError, RuntimeError):
    """A training run that cannot go on; what it has done is kept."""
