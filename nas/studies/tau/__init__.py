"""Rank truth (`nas tau`): does the ranking with shared weights hold after retraining?"""
