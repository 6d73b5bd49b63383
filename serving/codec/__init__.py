"""Between bytes on the wire and values: decode requests, encode answers. No socket, no model is run here."""
