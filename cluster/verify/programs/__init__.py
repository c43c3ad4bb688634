"""Does a program in slices compute what it computes whole?"""
