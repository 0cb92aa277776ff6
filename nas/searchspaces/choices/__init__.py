"""The kinds of choices, one file each; the kind's name in YAML is the file's name, or an entry point of the group of
this package's name.
"""
