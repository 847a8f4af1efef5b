"""From an artefact's standard graph to a TensorRT plan for one kind of GPU."""
