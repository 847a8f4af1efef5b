"""Who is let in: the daemon's certificate authority, and pairing. Needs the extra `client`; knows no transport."""
