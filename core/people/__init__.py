"""People: face and voice embeddings, and who is who."""
