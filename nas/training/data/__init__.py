"""Images and their three splits: digits (embedded), .npz files, folders of class folders, torchvision's data sets."""

from nas.training.data.load import Facts, inspect_data, load_data
from nas.training.data.spec import DataSpec
from nas.training.data.split import Augment, Data, Split

__all__ = ["Augment", "Data", "DataSpec", "Facts", "Split", "inspect_data", "load_data"]
