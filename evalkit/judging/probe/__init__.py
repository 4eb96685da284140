"""`evalkit probe`: robustness tests of a judge."""
