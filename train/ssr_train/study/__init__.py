"""A study: architectures x recipes x splits x magnifications x seeds as one grid, and the paper's tables from it."""
