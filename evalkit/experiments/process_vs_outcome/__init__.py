"""Process against outcome reward models under best of n."""
