"""Models leave in the forms in which people deploy them. Each form is a file here: it writes the model, reads it again,
and compares what was read with the model, before anything has its name.
"""

from nas.deployment.checking import Closeness
from nas.deployment.deployable import MAPS, Deployable, deployable

__all__ = ["MAPS", "Closeness", "Deployable", "deployable"]
