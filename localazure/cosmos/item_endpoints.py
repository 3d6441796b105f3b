"""From requests to operations on documents and back. Owns and refuses as `endpoints`; names are those of `routes`.

Source: learn.microsoft.com/rest/api/cosmos-db/documents; the change feed's headers as azure-cosmos sends them
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from localazure.cosmos import batches, charges, regions, sessions, steps
from localazure.cosmos.account import Account, Outcome, Reader
from localazure.cosmos.batches import BatchRefused
from localazure.cosmos.consistency import level_of
from localazure.cosmos.documents import MOST_LSN, Address, Conditions
from localazure.cosmos.drafts import address_of, check_id, draft_of, read_json, read_object
from localazure.cosmos.endpoints import find_container
from localazure.cosmos.errors import BadRequest
from localazure.cosmos.feeds import DEFAULT_PAGE_ITEMS, Page
from localazure.cosmos.patching import patch
from localazure.cosmos.queries import Scope
from localazure.cosmos.ranges import partition_of
from localazure.cosmos.resources import Container
from localazure.cosmos.rids import addresses_by_rid
from localazure.cosmos.slices import RANGE_HEADER, FeedPlace, key_of, range_of, ranges_in, slice_of
from localazure.cosmos.texts import whole_number
from localazure.cosmos.wire import Request, Response, feed_text

LATEST_VERSION, ALL_VERSIONS = "incremental feed", "full-fidelity feed"
MULTI_STATUS = 207
UNSUPPORTED_ON_WRITES = {
    "x-ms-documentdb-pre-trigger-include": "Triggers",
    "x-ms-documentdb-post-trigger-include": "Triggers",
    "x-ms-indexing-directive": "Indexing directives",
}


class ItemEndpoints:
    """Documents of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def create(self, request: Request) -> Response:
        container = self._writable(request)
        draft = draft_of(container, key_of(container, request), read_json(request.body))
        return await self._write(container, request, draft.address.epk, steps.create(draft))

    async def upsert(self, request: Request) -> Response:
        container = self._writable(request)
        draft = draft_of(container, key_of(container, request), read_json(request.body))
        return await self._write(container, request, draft.address.epk, steps.upsert(draft, _conditions(request)))

    async def replace(self, request: Request) -> Response:
        container = self._writable(request)
        draft = draft_of(container, key_of(container, request), read_json(request.body))
        step = steps.replace(self._id(container, request), draft, _conditions(request))
        return await self._write(container, request, draft.address.epk, step)

    async def patch(self, request: Request) -> Response:
        container = self._writable(request)
        address = self._address(container, request)
        step = patch(container, key_of(container, request), address.id, read_object(request.body), _conditions(request))
        return await self._write(container, request, address.epk, step)

    async def delete(self, request: Request) -> Response:
        container = self._writable(request)
        address = self._address(container, request)
        return await self._write(container, request, address.epk, steps.delete(address, _conditions(request)))

    async def read(self, request: Request) -> Response:
        container = find_container(self._account, request)
        address = self._address(container, request)
        outcome = self._account.read_item(container, address, _conditions(request), self._reader(request))
        return _answer(container, outcome, minimal=False)

    async def batch(self, request: Request) -> Response:
        if not request.flag("x-ms-cosmos-batch-atomic"):
            raise BadRequest("Batches that are not atomic are not supported by this account.")
        if len(request.body) > batches.MOST_BYTES:
            raise batches.too_large(len(request.body))
        container = find_container(self._account, request)
        key = key_of(container, request)
        try:
            done, range_id, lsn = await self._account.run_batch(container, key, request.body)
        except BatchRefused as refusal:
            charge = round(sum(charge for _, charge in refusal.results), 2)
            headers = {"x-ms-alt-content-path": container.path, "x-ms-item-count": str(len(refusal.results))}
            return Response(MULTI_STATUS, batches.refused_text(refusal), headers, charge)
        charge = round(sum(entry.charge for entry in done), 2)
        headers = {**_place(container, range_id, lsn), "x-ms-item-count": str(len(done))}
        return Response(200, batches.results_text(done), headers, charge)

    async def delete_partition(self, request: Request) -> Response:
        container = find_container(self._account, request)
        if request.segments[-1].lower() != "partitionkeydelete":
            raise BadRequest(f"The operation {request.segments[-1]!r} is not supported by this account.")
        key = key_of(container, request)
        if key is None:
            raise BadRequest("PartitionKey value must be supplied for this operation.")
        container.key.check_full(key)
        outcome = await self._account.delete_partition(container, key)
        return _answer(container, outcome, minimal=True)

    async def query(self, request: Request) -> Response:
        container = find_container(self._account, request)
        reader = self._reader(request)
        lsn = self._account.lsn(container, reader)
        answer = await self._account.query(container, reader, request.headers, request.body)
        if answer.range_id is None:  # a plan: the gateway's own work, which no partition does
            return Response(200, answer.body, {**_place(container, container.partitions[0].id, lsn), **answer.headers})
        headers = {**_place(container, answer.range_id, lsn), **answer.headers}
        return Response(200, answer.body, headers, charges.page(answer.retrieved_bytes), (answer.range_id,))

    async def read_feed(self, request: Request) -> Response:
        container = find_container(self._account, request)
        reader = self._reader(request)
        lsn = self._account.lsn(container, reader)
        place = FeedPlace.of(container, request)
        now = place.parts[0]
        page = await self._account.living(
            container,
            Scope(now.minimum, now.until),
            reader,
            after=now.after,
            most_items=_most_items(request),
        )
        range_id = partition_of(container.partitions, now.minimum).id
        headers = _place(container, range_id, lsn)
        continuation = place.after_page(page.resume, page.more)
        if continuation is not None:
            headers["x-ms-continuation"] = continuation
        return _page(container, page, headers, (range_id,))

    async def change_feed(self, request: Request) -> Response:
        """Documents after the continuation in if-none-match; 304 with an etag to go on from where there are none."""
        container = find_container(self._account, request)
        mode = request.headers["a-im"].lower()
        if mode not in (LATEST_VERSION, ALL_VERSIONS):
            raise BadRequest(f"The change feed mode {mode!r} is not one of {LATEST_VERSION} and {ALL_VERSIONS}.")
        reader = self._reader(request)
        lsn = self._account.lsn(container, reader)
        part = slice_of(container, request)
        range_ids = ranges_in(container.partitions, part)
        after, since = _continuation(request, lsn), _since(request)
        most = _most_items(request)
        if mode == ALL_VERSIONS:
            page = await self._account.versions(container, part, after_lsn=after, most_items=most)
        else:
            page = await self._account.changes(container, part, reader, after_lsn=after, since=since, most_items=most)
        headers = {**_place(container, range_ids[0], lsn), "etag": f'"{page.resume}"'}
        if not page.bodies:
            return Response(304, b"", headers, charges.page(0), range_ids)
        return _page(container, page, headers, range_ids)

    def range_of(self, request: Request) -> tuple[Container, str | None]:
        """The container, and the id of the physical partition that a request names; None where its answer tells.

        Raises: as `find_container`, `PartitionGone`, `BadRequest`.
        """
        container = find_container(self._account, request)
        return container, range_of(container, request)

    def _reader(self, request: Request) -> Reader:
        """Raises: as `level_of`."""
        headers = request.headers
        level = level_of(headers.get("x-ms-consistency-level"), self._account.consistency)
        return Reader(headers.get("x-ms-session-token"), level, regions.is_second(headers.get("host", "")))

    def _writable(self, request: Request) -> Container:
        """As `find_container`. Raises: `BadRequest` for what a write may ask on Azure and cannot have here."""
        for header, unsupported in UNSUPPORTED_ON_WRITES.items():
            value = request.headers.get(header)
            if value is not None and value.lower() not in ("", "default"):
                raise BadRequest(f"{unsupported} are not supported by this account.")
        return find_container(self._account, request)

    def _id(self, container: Container, request: Request) -> str:
        if addresses_by_rid(request.segments[1]):
            return self._account.id_of_rid(container, request.segments[5])
        return check_id(request.segments[5])

    def _address(self, container: Container, request: Request) -> Address:
        return address_of(container.key, key_of(container, request), self._id(container, request))

    async def _write(self, container: Container, request: Request, epk: str, step: steps.Step) -> Response:
        outcome = await self._account.run(container, epk, step)
        return _answer(container, outcome, minimal=request.headers.get("prefer", "").lower() == "return=minimal")


def _conditions(request: Request) -> Conditions:
    return Conditions(request.headers.get("if-match"), request.headers.get("if-none-match"))


def _most_items(request: Request) -> int:
    """-1 lets the server choose; it never gives more than 4 MB."""
    wanted = request.integer("x-ms-max-item-count", DEFAULT_PAGE_ITEMS)
    if wanted == 0 or wanted < -1:
        raise BadRequest(f"The page size {wanted} is neither -1 nor a positive number.")
    return 1 << 31 if wanted < 0 else wanted


def _continuation(request: Request, lsn: int) -> int:
    """The LSN after which to read. Raises: `BadRequest` for a continuation that is not ours."""
    text = request.headers.get("if-none-match")
    if text is None:
        return 0
    if text == "*":
        return lsn
    after = whole_number(text.strip('"'), "change feed continuation")
    if after > MOST_LSN:
        raise BadRequest(f"The change feed continuation {text!r} is beyond every change.")
    return after


def _since(request: Request) -> float | None:
    """Seconds since 1970. Raises: `BadRequest`."""
    text = request.headers.get("if-modified-since")
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequest(f"The date {text!r} is not in RFC 1123 format.") from error


def _place(container: Container, range_id: str, lsn: int) -> dict[str, str]:
    """The headers without which a client would look everything up again."""
    return {
        "x-ms-session-token": sessions.token_of(range_id, lsn),
        RANGE_HEADER: range_id,
        "x-ms-alt-content-path": container.path,
        "x-ms-content-path": container.rid,
        "lsn": str(lsn),
    }


def _answer(container: Container, outcome: Outcome, *, minimal: bool) -> Response:
    done = outcome.done
    headers: Mapping[str, str] = _place(container, outcome.range_id, outcome.lsn)
    if done.row is None:
        return Response(done.status, b"", headers, done.charge)
    headers = {**headers, "etag": done.row.etag}
    return Response(done.status, b"" if minimal else done.row.body, headers, done.charge)


def _page(container: Container, page: Page, headers: Mapping[str, str], range_ids: tuple[str, ...]) -> Response:
    count = len(page.bodies)
    text = feed_text(container.rid, "Documents", page.bodies, count)
    return Response(200, text, {**headers, "x-ms-item-count": str(count)}, charges.page(page.loaded_bytes), range_ids)
