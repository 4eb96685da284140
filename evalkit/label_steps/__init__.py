"""`evalkit label-steps`: labels of steps by completing solutions from each of them."""
