"""Tables, plots and the HTML page: drawn from summaries, never from models."""
