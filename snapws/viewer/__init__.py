"""A workspace in a browser: a page on the loopback interface, drawn by NiiVue.

NiiVue comes with the extra ``viewer``; nothing is loaded from elsewhere. The server reads the
images and streams them, placed as `snapws.pictures` places them, so that the page and
``snapws show`` agree.
"""
