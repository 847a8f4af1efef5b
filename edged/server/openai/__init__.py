"""The HTTP API that programs written for OpenAI's speak (extra web): off unless http.listen names an address.

Requests carry their whole conversation; nothing of it is stored.
"""
