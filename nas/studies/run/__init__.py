"""A run on disk: its folder, the typed results in it, and its trials as frames. Read without building a model."""
