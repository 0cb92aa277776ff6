"""A study's file: what it may say, and from the file to everything that it names."""
