"""Event Grid's rows of the support table: what a topic takes, delivers and refuses, and the test that sees it."""

from __future__ import annotations

from localazure.support import Row

_HERE = "tests/contract/test_event_grid.py::test_"


def _served(operation: str, proof: str, note: str = "") -> Row:
    return Row(operation, True, _HERE + proof, note)


def _refused(operation: str, proof: str, note: str) -> Row:
    return Row(operation, False, _HERE + proof, note)


ROWS: tuple[Row, ...] = (
    _served(
        "custom topic: publish CloudEvents 1.0, one or a batch",
        "published_events_reach_the_webhook_one_by_one_as_they_were",
        "a topic is the beginning of the path, not a host",
    ),
    _served("asynchronous client", "the_asynchronous_client_publishes_alike"),
    _served("access keys", "a_wrong_key_is_refused_with_401_and_nothing_is_stored", "one key for each topic"),
    _served("limit of 1 MB and 5,000 events for a request", "a_request_beyond_a_megabyte_is_refused_with_413"),
    _served("webhooks: validation handshake of CloudEvents", "a_webhook_is_asked_before_it_gets_anything"),
    _served(
        "webhooks: a refused handshake",
        "a_webhook_that_does_not_agree_is_not_subscribed",
        "400, no subscription is made",
    ),
    _served("delivery in batches", "a_subscription_may_ask_for_batches", "by count; no preferred size in kilobytes"),
    _served(
        "several subscriptions of a topic",
        "each_subscription_gets_each_event_and_a_later_one_only_what_comes_later",
        "without filters",
    ),
    _served(
        "retry with backoff",
        "what_fails_is_tried_again_until_it_is_taken",
        "Azure's schedule, which `time_scale` shortens; no probation of a webhook that keeps failing",
    ),
    _served(
        "answers that are not tried again; dead letters",
        "an_event_that_no_try_can_deliver_becomes_a_dead_letter_at_once",
        "kept here instead of in a storage account, the newest 10,000",
    ),
    _served(
        "maximum of attempts, time to live",
        "after_the_last_attempt_an_event_is_a_dead_letter_or_without_those_dropped",
    ),
    _served("accepted events outlive the server", "what_was_accepted_outlives_the_server_and_is_delivered_after_it"),
    Row(
        "accepted events outlive `kill -9`",
        True,
        "tests/chaos/test_event_grid_kill.py::test_what_was_accepted_before_the_kill_reaches_the_webhook",
        "delivered at least once",
    ),
    _served(
        "too many events that wait",
        "more_than_may_wait_is_refused_with_429",
        "100,000 of a topic: the embedded Azure's own bound, no rate limit",
    ),
    _served("faults: refused request", "a_refused_request_is_sent_again_by_the_sdk"),
    _served("faults: lost acknowledgement", "a_lost_acknowledgement_delivers_twice_and_the_id_tells"),
    _served("faults: second delivery", "a_delivery_may_be_made_twice"),
    _refused(
        "SAS and bearer tokens", "no_key_a_token_another_version_method_or_address_are_refused", "401 Unauthorized"
    ),
    _refused("Event Grid's own schema, binary mode", "events_of_event_grids_own_schema_are_refused", "400 BadRequest"),
    _refused(
        "webhooks elsewhere than on this machine", "a_webhook_elsewhere_is_refused", "the subscription is not made"
    ),
    _refused(
        "validation by callback; other handlers than webhooks; filters, domains, namespaces, system topics",
        "names_and_policies_that_azure_does_not_take_are_refused",
        "the subscription is not made",
    ),
)
