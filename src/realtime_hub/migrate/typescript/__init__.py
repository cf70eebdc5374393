"""Rewrites channels of supabase-js."""
