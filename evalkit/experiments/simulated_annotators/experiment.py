"""Everybody who has a link works at once, and what they were told is written."""

from dataclasses import asdict
from pathlib import Path

from evalkit.experiments.simulated_annotators.annotators import at_work, crowd, read_links
from evalkit.experiments.simulated_annotators.config import Crowd
from rewards.files import write_rows


def run(config: Crowd) -> None:
    """Work, and write what was told."""
    links = read_links(Path(config.links))
    write_rows(config.out, map(asdict, at_work(links, crowd(list(links)), config)), overwrite=True)
