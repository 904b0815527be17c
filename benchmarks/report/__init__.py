"""Reports of the lab: JSON for programs, Markdown and plots for people, comparisons."""
