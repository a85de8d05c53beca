"""Networks that find faces, and the choice of what finds them."""
