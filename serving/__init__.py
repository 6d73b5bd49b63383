"""The server: open protocols over HTTP in front of ONNX Runtime sessions. It never imports training or torch."""
