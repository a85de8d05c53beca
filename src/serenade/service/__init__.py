"""Emotions over HTTP: the service that `serenade serve` runs, and the page it shows; needs the extra `serve`."""
