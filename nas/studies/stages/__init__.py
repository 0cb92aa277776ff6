"""The stages of a run, one file each: `run(session)` does the work, and returns what the folder keeps as the stage's
result.
"""
