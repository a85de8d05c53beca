"""Upstreams: networks trained beforehand, on other speech and without emotions, that turn a waveform into frames."""
