"""Settings of the pictures of the annotation page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnotationScreens:
    """Fill a made-up study, and take pictures of its pages."""

    out: str = "docs/figures"
    """Folder for the pictures."""
    all: bool = False
    """Write every screen too, not only the figure."""
