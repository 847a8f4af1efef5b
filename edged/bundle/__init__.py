"""All that an isolated site needs in one signed file: made where there is a network, installed where there is none."""
