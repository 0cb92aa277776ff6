"""Made inputs for every command, to find what no test has thought of. See `fuzz.__main__`."""
