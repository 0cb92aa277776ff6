"""Axes of any model, derived: nothing is told of it, all is read off its forward.

sources     a model by its name: of timm, torchvision, Hugging Face, or a function of the user's
program     its forward as a graph of operations, captured without values; `inlining` opens the graphs in it
reading     which operation is which rule's; `rules` say what they do with dimensions
algebra     axes while they are found out: unions, products, concatenations
labels      the graph with the axes of every value
blocks      which modules are blocks; `roles` names axes by what they are for
deriving    all of it, one after the other; `derivation` is what comes out
permutation the oracle: units in another order, and the same outputs
ties        another one: whether all that an axis runs through is tied together; `precision` is what both need
asked       all that within bounds of time and memory, remembered; `checking` proves it, `proof` is what was found
"""
