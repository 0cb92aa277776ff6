"""`nas init`: a first study of a model on somebody's pictures, from a look at both and at the machine."""
