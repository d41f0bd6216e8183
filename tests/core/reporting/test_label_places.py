"""Labels beside points: near them, on the picture, and off one another."""

from itertools import combinations

from zoo.reporting._label_places import Box, Disc, place_labels

FRAME = Box(0, 0, 600, 400)


def overlap(places: list[Box]) -> float:
    return sum(one.common(other) for one, other in combinations(places, 2))


def test_a_single_label_stands_right_of_its_point() -> None:
    [place] = place_labels([(40, 10)], [Disc(100, 100, 5)], FRAME, gap=3)

    assert place == Box(108, 95, 148, 105)


def test_a_label_at_the_right_edge_goes_to_the_left() -> None:
    [place] = place_labels([(40, 10)], [Disc(590, 100, 5)], FRAME, gap=3)

    assert place == Box(542, 95, 582, 105)


def test_a_label_avoids_the_next_point() -> None:
    discs = [Disc(100, 100, 5), Disc(120, 100, 5)]

    places = place_labels([(40, 10)] * 2, discs, FRAME, gap=3)

    assert [place.common(disc.box) for place in places for disc in discs] == [0, 0, 0, 0]
    assert overlap(places) == 0


def test_twenty_labels_around_one_place_do_not_overlap() -> None:
    discs = [Disc(300 + 3 * (i % 5), 200 + 2 * (i // 5), 4) for i in range(20)]

    places = place_labels([(80, 12)] * 20, discs, FRAME, gap=3)

    assert overlap(places) < 0.02 * 20 * 80 * 12
    assert all(place.common(FRAME) == place.area for place in places)
