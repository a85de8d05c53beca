"""What every room shares: records, labels, errors, settings, name tables, seeds, devices, files."""
