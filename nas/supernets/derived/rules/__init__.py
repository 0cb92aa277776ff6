"""What operations do with dimensions: a function for each kind of them, in a file for each sort.

Names are those of torch's dispatched operations, in which all others are written; see
`nas.supernets.derived.reading.Call` for what a rule is asked.
"""

from nas.supernets.derived.rules import images as images
from nas.supernets.derived.rules import parts as parts
from nas.supernets.derived.rules import products as products
from nas.supernets.derived.rules import shapes as shapes
from nas.supernets.derived.rules import values as values
from nas.supernets.derived.rules._base import RULES as RULES
from nas.supernets.derived.rules._base import unknown as unknown
