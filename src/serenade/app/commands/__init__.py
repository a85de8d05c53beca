"""One file per command; the table of commands stands in `serenade.app.main`."""
