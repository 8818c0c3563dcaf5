"""What the files of a model say, without loading its weights."""
