"""What happens when a reward is optimised: policies, curves, testbeds and the command line."""
