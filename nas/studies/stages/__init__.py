"""The stages of a run, one file each: `run(workshop)` does the work, and returns what the folder keeps as the stage's
result.
"""
