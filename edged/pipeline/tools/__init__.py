"""Tools that the daemon itself runs for the model, each off unless it is configured. None reaches the network."""
