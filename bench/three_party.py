def exchanges():
    return None


def describe(r):
    return ""
