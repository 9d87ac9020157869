"""Views of results: terminal, text formats, figures, the HTML page, Weights & Biases. They compute nothing."""
