"""`evalkit agreement`: how far judges and people agree."""
