from realtime_hub.hub.lanes import Lane


def test_an_idle_lane_acts_at_once():
    lane, done = Lane(), []
    lane.follow(lambda: done.append(1))
    assert done == [1]
    assert lane.idle


def test_what_follows_a_waiting_place_waits_and_keeps_its_order():
    lane, done = Lane(), []
    first = lane.wait(lambda: done.append(1))
    lane.follow(lambda: done.append(2))
    second = lane.wait(lambda: done.append(3))
    lane.settle(second, go=True)
    assert done == []
    lane.settle(first, go=True)
    assert done == [1, 2, 3]
    assert lane.idle


def test_a_dropped_place_lets_the_next_go():
    lane, done = Lane(), []
    first = lane.wait(lambda: done.append(1))
    lane.follow(lambda: done.append(2))
    lane.settle(first, go=False)
    assert done == [2]


def test_what_is_added_while_acting_comes_last():
    lane, done = Lane(), []
    first = lane.wait(lambda: (done.append(1), lane.follow(lambda: done.append(3))))
    lane.follow(lambda: done.append(2))
    lane.settle(first, go=True)
    assert done == [1, 2, 3]
    assert lane.idle


def test_settling_after_clear_does_nothing_to_newcomers():
    lane, done = Lane(), []
    forgotten = lane.wait(lambda: done.append("forgotten"))
    lane.clear()
    fresh = lane.wait(lambda: done.append("fresh"))
    lane.settle(forgotten, go=True)
    assert done == []
    lane.settle(fresh, go=True)
    assert done == ["fresh"]


def test_a_lane_says_when_its_limit_is_reached():
    lane = Lane(limit=2)
    lane.wait(lambda: None)
    assert not lane.full
    lane.wait(lambda: None)
    assert lane.full
    assert len(lane) == 2
