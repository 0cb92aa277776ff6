"""What only a GPU can show: `make gpu`, in at most eight minutes on a machine with one GPU.

It wants what `nas` itself wants, and none of its extras.
"""
