"""Reports: figures, clips, and one offline HTML file."""
