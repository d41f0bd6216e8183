"""Yield verified, seeded, resumable batches from files as people have them.

This is a floor of the house, with a room for each part of the way from ``--data`` to a batch; what
is public is named by the rooms alone:

    builtin       the data sets of core's own cards
    sources       from the words of ``--data`` to verified splits, whatever their layout
    packs         a whole source in a few files
    boxes, masks  splits with boxes and with masks, in the layouts that people have
    files         what several layouts share
    loading       the batches of a plan, in order
    transforms    what happens to images and their targets
    datasets      what a data set is
    decoding      from the files of images and masks to pixels and numbers
"""
