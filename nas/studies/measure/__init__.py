"""`nas evaluate`: any saved model, or one of timm's, on any data that a study could name; no run is needed."""
