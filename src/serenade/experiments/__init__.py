"""Folds × seeds as resumable jobs, run records, summaries, comparison."""
