"""How long models take on a device: whole ones in turn (`whole_models`), and every architecture of a space without
being run (`building`): the sum of what the steps of a forward take, each timed at some sizes of its choices.
"""
