"""Build time: from a checkpoint to an INT4 artefact folder."""
