"""Command line: a file a verb; heavy imports live inside the verbs."""
