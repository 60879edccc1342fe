"""How often is a rule wrong, and how long does it take to be right?"""
