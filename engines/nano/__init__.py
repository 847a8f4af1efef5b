"""autoglm-phone-nano: what it learns from, all of it drawn and spoken here, and how it is trained and judged."""
