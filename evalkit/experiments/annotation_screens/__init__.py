"""Pictures of the annotation page."""
