"""Every `evalkit train`: reward models and policies."""
