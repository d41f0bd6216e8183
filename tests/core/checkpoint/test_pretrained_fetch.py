"""Published weights: fetched once, checked each time, and refused where anything is wrong."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo.checkpoint._download
from zoo.cards import InputSpec, ModelCard, WeightsCard
from zoo.checkpoint import fetch_weights, read_weights, resolve_weights
from zoo.errors import UnknownNameError, WeightsError

TENSORS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}


class Publisher(http.server.ThreadingHTTPServer):
    """A web server of this machine whose answers a test can spoil."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.announced_bytes: int | None = None
        self.requests: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path in self.server.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.redirects[self.path])
            self.end_headers()
        elif self.path in self.server.files:
            body = self.server.files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(self.server.announced_bytes or len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    save_file(TENSORS, tmp_path / "published")
    return (tmp_path / "published").read_bytes()


def card_of(url: str, content: bytes, digits: int = 8) -> WeightsCard:
    return WeightsCard(
        name="v1",
        url=url,
        sha256=hashlib.sha256(content).hexdigest()[:digits],
        preprocess=InputSpec(),
        classes="zoo:none.txt",
    )


@pytest.fixture
def card(publisher: Publisher, content: bytes) -> WeightsCard:
    publisher.files["/net-1.safetensors"] = content
    return card_of(publisher.url("/net-1.safetensors"), content)


def test_weights_are_downloaded_once_and_then_come_from_the_cache(card, publisher) -> None:
    messages: list[str] = []

    first = fetch_weights(card, message=messages.append)
    second = fetch_weights(card, message=messages.append)

    assert first == second
    assert publisher.requests == ["/net-1.safetensors"]
    assert len(messages) == 1
    assert card.url in messages[0]
    found = read_weights(first)
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_the_full_hash_is_noted(card, content) -> None:
    stored = fetch_weights(card)

    noted = json.loads(stored.with_suffix(".json").read_text())

    assert noted["source_sha256"] == hashlib.sha256(content).hexdigest()
    assert noted["sha256"] == hashlib.sha256(stored.read_bytes()).hexdigest()


def test_weights_without_a_published_hash_say_so_when_they_are_fetched(card: WeightsCard) -> None:
    told: list[str] = []

    fetch_weights(replace(card, sha256=""), message=told.append)

    assert told[-1].startswith("no SHA-256 of it is published; ")


def test_without_a_published_hash_the_first_download_is_noted_and_checked_from_then_on(
    card, content
) -> None:
    unhashed = replace(card, sha256="")

    stored = fetch_weights(unhashed)

    noted = json.loads(stored.with_suffix(".json").read_text())
    assert noted["source_sha256"] == hashlib.sha256(content).hexdigest()
    stored.write_bytes(stored.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="not what was stored"):
        fetch_weights(unhashed)


def test_without_a_published_hash_a_file_by_hand_is_for_one_set_of_weights_alone(
    card, cache, content
) -> None:
    first, second = (
        replace(card, url=f"http://127.0.0.1:9/{name}/model.safetensors", sha256="")
        for name in ("first", "second")
    )
    with pytest.raises(WeightsError) as caught:
        fetch_weights(first)
    place = Path(caught.value.cure.rpartition(" put it at ")[2].removesuffix("."))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)

    stored = fetch_weights(first)

    assert stored.is_file()
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch_weights(second)


def test_without_a_published_hash_none_is_promised_to_who_fetches_by_hand(card) -> None:
    with pytest.raises(WeightsError) as caught:
        fetch_weights(replace(card, url="http://127.0.0.1:9/net.safetensors", sha256=""))

    assert caught.value.cure.endswith("net.safetensors.")


def test_only_the_weights_and_their_record_are_left_in_the_cache(card, cache) -> None:
    stored = fetch_weights(card)

    assert sorted(cache.iterdir()) == [stored.with_suffix(".json"), stored]


def test_a_download_of_another_hash_is_refused_and_deleted(card, content, publisher, cache) -> None:
    publisher.files["/net-1.safetensors"] = content[:-1] + bytes([content[-1] ^ 1])

    with pytest.raises(WeightsError, match=f"published is {card.sha256}"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []


def test_a_body_shorter_than_announced_is_refused_and_deleted(card, publisher, cache) -> None:
    publisher.announced_bytes = 10_000

    with pytest.raises(WeightsError, match="10,000"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []


def test_a_body_larger_than_the_limit_is_refused_and_deleted(card, cache, monkeypatch) -> None:
    monkeypatch.setattr(zoo.checkpoint._download, "MAX_BYTES", 100)
    monkeypatch.setattr(zoo.checkpoint._download, "_announced_bytes", lambda *_: None)

    with pytest.raises(WeightsError, match="larger than 100 bytes"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []


def test_an_announced_size_over_the_limit_is_refused_before_anything_is_read(
    card, publisher, cache
) -> None:
    publisher.announced_bytes = 9 << 30

    with pytest.raises(WeightsError, match="larger than"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "target", ["http://example.invalid/a", "file:///etc/passwd", "ftp://example.invalid/a"]
)
def test_a_redirect_away_from_https_is_refused(target, card, publisher, cache) -> None:
    publisher.redirects["/net-1.safetensors"] = target

    with pytest.raises(WeightsError, match=r"not an https address|not allowed"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []


def test_a_redirect_on_the_same_footing_is_followed(card, content, publisher) -> None:
    publisher.files["/moved"] = content
    publisher.redirects["/net-1.safetensors"] = publisher.url("/moved")

    fetch_weights(card)

    assert publisher.requests == ["/net-1.safetensors", "/moved"]


@pytest.mark.parametrize(
    "url", ["http://example.invalid/n.pth", "file:///etc/passwd", "https:///n.pth", "n.pth"]
)
def test_an_address_that_is_not_https_is_refused(url, content, cache) -> None:
    with pytest.raises(WeightsError, match="not an https address"):
        fetch_weights(card_of(url, content))


def test_without_network_it_says_what_to_fetch_and_where_to_put_it(content, cache) -> None:
    card = card_of("http://127.0.0.1:9/net-1.safetensors", content)

    with pytest.raises(WeightsError) as refusal:
        fetch_weights(card)

    assert "cannot be fetched" in refusal.value.cause
    assert card.url in refusal.value.cure
    assert str(cache / "net-1.safetensors") in refusal.value.cure
    assert card.sha256 in refusal.value.cure


def test_a_file_that_is_gone_is_said_as_the_server_says_it(card, publisher) -> None:
    publisher.files.clear()

    with pytest.raises(WeightsError, match="404"):
        fetch_weights(card)


def test_a_file_put_there_by_hand_is_taken_without_network(content, cache) -> None:
    card = card_of("http://127.0.0.1:9/net-1.safetensors", content)
    cache.mkdir(parents=True)
    (cache / "net-1.safetensors").write_bytes(content)

    stored = fetch_weights(card)

    assert (cache / "net-1.safetensors").read_bytes() == content
    assert torch.equal(read_weights(stored)["fc.bias"], TENSORS["fc.bias"])


def test_a_wrong_file_put_there_by_hand_is_refused_and_left_alone(card, cache) -> None:
    cache.mkdir(parents=True)
    (cache / "net-1.safetensors").write_bytes(b"something else")

    with pytest.raises(WeightsError, match="published is"):
        fetch_weights(card)

    assert [path.read_bytes() for path in cache.iterdir()] == [b"something else"]


@pytest.mark.parametrize("position", [0, 9, 60, -1])
def test_one_altered_byte_in_the_cache_is_refused_and_the_cache_cleaned(
    position, card, content, cache
) -> None:
    stored = fetch_weights(card)
    altered = bytearray(content)
    altered[position] ^= 1
    stored.write_bytes(altered)

    with pytest.raises(WeightsError, match="SHA-256 differs"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []
    assert fetch_weights(card) == stored


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"sha256": 3}', "{" * 9])
def test_a_damaged_record_is_refused_and_the_cache_cleaned(record, card, cache) -> None:
    stored = fetch_weights(card)
    stored.with_suffix(".json").write_text(record)

    with pytest.raises(WeightsError, match="SHA-256 differs"):
        fetch_weights(card)

    assert list(cache.iterdir()) == []


def test_a_file_without_its_record_does_not_count(card, publisher) -> None:
    stored = fetch_weights(card)
    stored.with_suffix(".json").unlink()
    stored.write_bytes(b"poison")

    fetch_weights(card)

    assert len(publisher.requests) == 2
    assert torch.equal(read_weights(stored)["fc.bias"], TENSORS["fc.bias"])


def test_two_publishers_files_of_one_name_do_not_meet(card, content, publisher, tmp_path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    other = (tmp_path / "other").read_bytes()
    publisher.files["/b/net-1.safetensors"] = other

    paths = {
        fetch_weights(card),
        fetch_weights(card_of(publisher.url("/b/net-1.safetensors"), other)),
    }

    assert len(paths) == 2


def model_card(weights: WeightsCard) -> ModelCard:
    return ModelCard(
        name="net",
        summary="",
        factory="a:b",
        task="classification",
        num_params=1,
        gmacs=1,
        weights=(weights,),
    )


def test_weights_are_a_published_name_or_a_file(card, tmp_path) -> None:
    (tmp_path / "own.pth").touch()

    assert resolve_weights(model_card(card), "v1") == card
    assert resolve_weights(model_card(card), str(tmp_path / "own.pth")) == tmp_path / "own.pth"


def test_weights_that_are_neither_are_refused_with_those_there_are(card) -> None:
    with pytest.raises(UnknownNameError, match="Published: v1; or give"):
        resolve_weights(model_card(card), "v11")
