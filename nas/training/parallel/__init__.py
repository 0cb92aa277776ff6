"""The one loop in several processes: started by torchrun, or as workers on Ray."""
