"""`evalkit probe`: what fools a judge."""
