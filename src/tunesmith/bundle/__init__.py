"""The artefact on disk: the only thing that training hands to serving."""
