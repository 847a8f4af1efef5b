"""The ears of autoglm_phone: what a checkpoint has of them, their maths, and their graph."""
