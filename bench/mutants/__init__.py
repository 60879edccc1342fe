"""Would a test notice, if what decides were wrong by a little?"""
