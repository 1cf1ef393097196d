"""Costs of calls: models of cost, tables of cost, budgets."""
