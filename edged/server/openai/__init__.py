"""The HTTP API that programs written for OpenAI's speak (extra web): off unless http.listen or http.lan asks for it.

Requests carry their whole conversation; it is stored only where they ask for that.
"""
