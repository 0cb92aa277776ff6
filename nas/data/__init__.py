"""Images and their three splits: digits (embedded), .npz files, class folders, shards, torchvision's data sets."""

from nas.data.held import HeldSplit
from nas.data.listing import Listing
from nas.data.load import inspect_data, load_data, load_split
from nas.data.reading import list_images
from nas.data.spec import DataSpec
from nas.data.split import Data, NamedSplit, Split

__all__ = [
    "Data",
    "DataSpec",
    "HeldSplit",
    "Listing",
    "NamedSplit",
    "Split",
    "inspect_data",
    "list_images",
    "load_data",
    "load_split",
]
