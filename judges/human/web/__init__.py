"""The page on which people answer, and the admin view: HTTP, guards, and text that cannot act."""
