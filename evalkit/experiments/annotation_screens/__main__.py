"""Pictures of the annotation page on a laptop and on a phone, and of the figures of a study under way.

    python -m evalkit.experiments.annotation_screens --out docs/figures

Half a minute; needs Chromium and the Python package playwright. Writes annotate.png, a comparison on a laptop
beside the same on a phone; `--all true` writes every screen at both sizes and in the dark, to be looked at.
"""

from evalkit.experiments.annotation_screens.config import AnnotationScreens
from evalkit.experiments.entry import start

if __name__ == "__main__":
    start("annotation_screens", AnnotationScreens)
