"""The kinds of choices, one file each; the kind's name in YAML is the file's name, or an entry point of the group of
this package's name.
"""

from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, Group, elastic, groups, title
from nas.searchspaces.choices._values import Range, Scale, Values, listed, scaled

__all__ = [
    "Choice",
    "ChoiceKind",
    "Faults",
    "Group",
    "Range",
    "Scale",
    "Values",
    "elastic",
    "groups",
    "listed",
    "scaled",
    "title",
]
