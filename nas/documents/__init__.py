"""YAML files as plain data with the place of every key, and the words for what is wrong in them."""
