"""What a study will take before it runs: seconds of each stage, from a few timed steps, and memory, by counting."""
