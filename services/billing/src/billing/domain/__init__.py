"""Decisions of billing without I/O: money, plans, orders, payments, coupons, periods, invoices, the ledger."""
