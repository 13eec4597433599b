"""What an edge device needs: command line, bundle, preprocessing, runners, pipeline, results and benchmark."""

__version__ = "0.1.0"
