"""What the query API may be asked, and what it shows, as its document describes them.

Owns the parameters of each address, with their limits, and the JSON form of an answer; money is text, so that no cent
is lost to a float. Refuses to know: HTTP, tables.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from labkit.events.ids import ORDER_ID, order_day
from labkit.http_api import whole

DAYS_AT_MOST: Final = 366
LARGEST_PAGE: Final = 1_000
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def written_as_a_day(value: object) -> object:
    """Raises: `ValueError` for other forms, such as the seconds that pydantic would take for a day."""
    if not isinstance(value, date) and DAY.fullmatch(str(value)) is None:
        raise ValueError("a day is YYYY-MM-DD")
    return value


OrderId = Annotated[str, Field(pattern=whole(ORDER_ID), examples=["order-20260105-0001"])]
Day = Annotated[date, BeforeValidator(written_as_a_day)]


class Asked(BaseModel):
    """Parameters of an address: none that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfDays(Asked):
    first: Annotated[Day, Field(alias="from", description="The first day, included.")]
    last: Annotated[Day, Field(alias="to", description="The last day, included.")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= (self.last - self.first).days < DAYS_AT_MOST:
            raise ValueError(f"from comes before to, and at most {DAYS_AT_MOST} days are asked for")
        return self


class Paged(Asked):
    page: Annotated[OrderId | None, Field(description="`next` of the page before.")] = None
    size: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 100


class OrdersOfDays(OfDays, Paged):
    status: Literal["Created", "Paid", "Shipped", "Cancelled"] | None = None

    @model_validator(mode="after")
    def _page_of_these_days(self) -> Self:
        try:
            inside = self.page is None or self.first <= order_day(self.page) <= self.last
        except ValueError:
            inside = False
        if not inside:
            raise ValueError("page is not the `next` of an answer about these days")
        return self


class Shown(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Order(Shown):
    order_id: str
    customer_id: str
    customer_name: str | None = None
    """Null until the customer is registered; left out where only orders are asked."""
    status: str
    item_count: int
    total: str
    created_at: datetime
    updated_at: datetime
    version: int
    created_day: date


class Orders(Shown):
    orders: list[Order]
    next: str | None


class DayFigures(Shown):
    day: date
    orders: int
    cancelled: int
    revenue: str
    average_order_value: str | None
    distinct_customers: int


class Figures(Shown):
    days: list[DayFigures]
