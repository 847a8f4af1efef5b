"""Driving a phone: the words in which a model says what to do, what it is told, and what a person has to agree to."""
