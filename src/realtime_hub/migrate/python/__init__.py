"""Rewrites channels of supabase-py."""
