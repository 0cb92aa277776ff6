"""What the files of a report are called."""

NAMES = ("results.csv", "results.json", "report.html")
