"""Performance claims, each a ratio or a rate measured in one run: `make bench` prints them and writes `results.csv`."""
