"""An outcome reward model of GSM8K's model solutions."""
