"""The till's small parts by themselves: deadlines, turns, windows, the clock and the reserve."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from syncref.config import Slot
from syncref.domain.identity import Mark
from syncref.store.till_gate import WriteGate
from syncref.store.till_reserve import FileReserve
from syncref.till.clock import TillClock
from syncref.till.connection import Patience
from syncref.till.deadline import HttpLine, Rejected, Unreachable
from syncref.till.progress import Progress
from syncref.till.schedule import window_end
from syncref.till.sync import SyncTimes, TillSync

OVER = threading.Event()


@contextmanager
def peer(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the URL of a peer that talks to each connection as a test says."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                talk(connection)
            except OSError:
                return

    OVER.clear()
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        OVER.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def silent(connection: socket.socket) -> None:
    """Read everything and answer nothing, until the other side leaves."""
    while connection.recv(65536):
        pass


def trickling(connection: socket.socket) -> None:
    """Send one byte of an endless header at a time."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    gap = threading.Event()
    while not gap.wait(0.02):
        connection.sendall(b"x")


def deaf(connection: socket.socket) -> None:
    """Read nothing, so that the sender's buffer fills, until the peer is over."""
    OVER.wait(60)


@pytest.mark.parametrize("talk", [silent, trickling, deaf])
def test_a_request_ends_by_its_deadline_whatever_the_peer_does(
    talk: Callable[[socket.socket], None],
) -> None:
    """A black hole, a trickle and a full buffer all end as unreachable."""
    line = HttpLine(patience_s=10)
    with peer(talk) as url:
        began = time.monotonic()
        with pytest.raises(Unreachable):
            line.ask("POST", f"{url}/x", timeout_s=0.3, body=b"x" * 20_000_000 if talk is deaf else b"x")
        assert time.monotonic() - began < 20
        line.cut()


def test_a_machine_that_is_gone_is_not_waited_for_as_long_as_an_answer() -> None:
    """Nobody shakes hands: the till has the rest of its time for the next server of its list."""
    line = HttpLine(patience_s=4)
    with peer(silent) as url:
        began = time.monotonic()
        with pytest.raises(Unreachable):
            line.ask("GET", f"{url.replace('http:', 'https:')}/x", timeout_s=300)
        assert time.monotonic() - began < 60
        line.cut()


def test_patience_doubles_in_vain_and_follows_a_slow_line() -> None:
    """From a quarter of the whole, per server; a quick connection makes it short again."""
    patience = Patience(8.0)
    waits = []
    for _ in range(4):
        waits.append(patience.seconds("a"))
        patience.waited_in_vain("a")
    assert waits == [2.0, 4.0, 8.0, 8.0]
    assert patience.seconds("b") == 2.0
    patience.connected("a", 1.5)
    assert patience.seconds("a") == 3.0
    patience.connected("a", 0.1)
    assert patience.seconds("a") == 2.0
    patience.connected("a", 7.0)
    assert patience.seconds("a") == 8.0


def test_a_connection_is_kept_and_a_problem_is_told() -> None:
    """Two requests go over one connection; an error body becomes a typed error."""
    connections = []

    def talk(connection: socket.socket) -> None:
        connections.append(1)
        body = b'{"code": "gap", "message": "m", "definite": true, "request_id": "r", "expected_seq": 7}'
        for status, answer in ((b"200 OK", b"yes"), (b"409 Conflict", body)):
            connection.recv(65536)
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(answer))
            connection.sendall(head + answer)

    line = HttpLine(patience_s=10)
    with peer(talk) as url:
        assert line.ask("GET", f"{url}/a", timeout_s=20) == b"yes"
        with pytest.raises(Rejected) as told:
            line.ask("GET", f"{url}/b", timeout_s=20)
        assert (told.value.problem.code, told.value.problem.expected_seq) == ("gap", 7)
        line.cut()
    assert len(connections) == 1


def test_an_abort_ends_a_request_at_once() -> None:
    """Another thread can cut a held request short."""
    line = HttpLine(patience_s=10)
    with peer(silent) as url:
        timer = threading.Timer(0.2, line.abort)
        timer.start()
        with pytest.raises(Unreachable):
            line.ask("GET", f"{url}/feed", timeout_s=600)
        line.cut()
        timer.join()


def test_a_waiting_sale_goes_before_the_next_step() -> None:
    """Steps of the sync queue behind a sale that came later than they did."""
    gate = WriteGate()
    order: list[str] = []
    first_in, go_on = threading.Event(), threading.Event()

    def first_step() -> None:
        with gate.step():
            first_in.set()
            go_on.wait(20)
            order.append("step 1")

    def work(name: str) -> None:
        with gate.sale() if name == "sale" else gate.step():
            order.append(name)

    threads = [threading.Thread(target=first_step)]
    threads[0].start()
    assert first_in.wait(20)
    for name in ("step 2", "sale"):
        threads.append(threading.Thread(target=work, args=(name,)))
        threads[-1].start()
    while gate.since_sale_s() != 0.0:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert order == ["step 1", "sale", "step 2"]


@pytest.mark.parametrize(
    ("slot", "now", "end"),
    [
        (Slot(from_="11:30", to="12:40"), "11:30", "12:40"),
        (Slot(from_="11:30", to="12:40"), "12:40", None),
        (Slot(from_="11:30", to="12:40"), "09:00", None),
        (Slot(from_="22:00", to="02:00"), "23:00", "02:00"),
        (Slot(from_="22:00", to="02:00"), "01:59", "02:00"),
        (Slot(from_="22:00", to="02:00"), "03:00", None),
    ],
)
def test_a_window_ends_when_it_says(slot: Slot, now: str, end: str | None) -> None:
    """Windows may reach over midnight; their end is not in them."""
    found = window_end(slot, datetime.fromisoformat(f"2025-03-01T{now}:00+00:00"))
    assert (None if found is None else found.strftime("%H:%M")) == end


def test_the_clock_follows_its_file_and_prices_never_go_back(tmp_path: Path) -> None:
    """The lab may shift a till's clock; an unreadable file changes nothing."""
    file = tmp_path / "clock"
    ahead = TillClock(file)
    assert abs(ahead.now_ms() - time.time() * 1000) < 60_000
    file.write_text("86400000")
    ahead = TillClock(file)
    latest = ahead.price_ms()
    assert latest - time.time() * 1000 > 80_000_000
    file.write_text("not a number")
    assert TillClock(file).now_ms() < latest
    file.write_text("0")
    ahead._read_at = 0.0
    assert ahead.now_ms() < latest <= ahead.price_ms()


def test_the_reserve_is_given_in_halves_and_filled_again(tmp_path: Path) -> None:
    """Staging stops first, then downloads; what is given back is set aside anew."""
    reserve = FileReserve(tmp_path / "till.db", size=1024 * 1024)
    assert reserve.fill()
    file = tmp_path / "till.db.reserve"
    assert file.stat().st_blocks * 512 >= 1024 * 1024, "really allocated"
    assert reserve.room() == "ok"
    assert reserve.release()
    assert (file.stat().st_size, reserve.room()) == (512 * 1024, "no_downloads")
    while reserve.release():
        pass
    assert (file.exists(), reserve.room()) == (False, "reserve_used")
    reserve.restore()
    assert (file.stat().st_size, reserve.room()) == (1024 * 1024, "ok")


def test_little_room_stops_staging_and_then_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops follows from the room that is left beside the reserve."""
    reserve = FileReserve(tmp_path / "till.db", size=1000)
    assert reserve.fill()
    for free, room in ((5000, "ok"), (1500, "no_staging"), (900, "no_downloads")):
        monkeypatch.setattr(reserve, "_free", lambda free=free: free)
        assert reserve.room() == room


class Half:
    """A half of the sync that looks at the whole while it starts."""

    def __init__(self) -> None:
        self.sync: TillSync | None = None
        self.seen: list[bool] = []
        self.running = False

    def start(self) -> None:
        """Start."""
        if self.sync is not None:
            self.seen.append(self.sync.alive())
        self.running = True

    def stop(self) -> None:
        """Stop."""
        self.running = False

    def alive(self) -> bool:
        """Return whether it was started and not stopped."""
        return self.running


def test_an_upload_that_is_just_starting_is_not_taken_for_a_dead_one() -> None:
    """A till that goes on in a new journal stays healthy, and starts nothing once it stops."""
    parts: list[Any] = [Half(), Half(), Half()]
    sync = TillSync(
        uplink=parts[0], downlink=parts[1], caretaker=parts[2], times=cast(Any, None), progress=cast(Any, None)
    )
    sync.start()
    owed = Half()
    owed.sync = sync
    sync.owe(cast(Any, owed))
    assert (owed.seen, owed.running, sync.alive()) == ([True], True, True)
    owed.running = False
    assert not sync.alive()
    sync.stop()
    late = Half()
    sync.owe(cast(Any, late))
    assert not late.running


class Upload(Half):
    """Notes what it is asked, and while it is put to sleep lets another sync be asked for."""

    stuck, failures, error, runs = False, 0, None, 0

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.again: Callable[[], None] | None = None

    def sync_now(self) -> Mark:
        """Wake."""
        self.asked.append("wake")
        return Mark(seq=0, hash=b"")

    def post(self, _event: object) -> None:
        """Go to sleep, though not at once the first time."""
        again, self.again = self.again, None
        if again is not None:
            threading.Thread(target=again).start()
            time.sleep(0.1)
        self.asked.append("sleep")


def test_a_sync_that_is_asked_for_while_another_ends_is_not_put_to_sleep_with_it() -> None:
    """By hand and by schedule at once: the later one would wait for half a minute, and send nothing."""
    upload, down = Upload(), Upload()
    sync = TillSync(
        uplink=cast(Any, upload),
        downlink=cast(Any, down),
        caretaker=cast(Any, None),
        times=SyncTimes(continuous=False),
        progress=Progress(acked=0, safe=0),
    )
    over = threading.Event()
    upload.again = lambda: (sync.run_now("up"), over.set())[1]
    assert sync.run_now("up").ok
    assert over.wait(5)
    assert upload.asked == ["wake", "sleep", "wake", "sleep"]
