"""The egress guard: nothing leaves the machine, and status says what sees to it."""
