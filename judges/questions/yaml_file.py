"""A YAML file read strictly: malformed YAML and duplicate keys are errors."""

from pathlib import Path

import yaml

from rewards.errors import DataError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a duplicate key, of which YAML's own loader silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set[object]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key)
            if name in seen:
                raise DataError(f"{key.start_mark.line + 1}: key {name!r} stands twice in one mapping")
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> object:
    """Return the contents of a YAML file.

    Raises:
        DataError: It is no YAML in UTF-8, or has a key twice; the message names file, line and key.
    """
    try:
        return yaml.load(Path(path).read_bytes(), _StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except DataError as error:
        raise DataError(f"{path}:{error}") from None
