"""How good a scorer is: report cards, calibration, accuracy against N, first errors, aspects. Pure."""
