"""The router base class: pools of models, decisions, rankings."""
