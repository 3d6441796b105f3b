"""Event Hubs' rows of the support table: what the namespace serves, what it refuses, and the test that sees it."""

from __future__ import annotations

from localazure.support import Row

_CONTRACT = "tests/contract/event_hubs/test_"
_SEND, _RECEIVE, _RIGHTS = _CONTRACT + "send.py::test_", _CONTRACT + "receive.py::test_", _CONTRACT + "rights.py::test_"
_FAULTS, _DURABLE = _CONTRACT + "faults.py::test_", _CONTRACT + "durability.py::test_"
_ASYNC = _CONTRACT + "async_client.py::test_"
_ASYNC_RECEIVE = _CONTRACT + "async_receive.py::test_"
_PROTOCOL = "tests/protocol/test_"
_SERVICE, _STORED = _PROTOCOL + "service.py::test_", _PROTOCOL + "stored_messages.py::test_"
_RECEIVING, _REQUESTS = _PROTOCOL + "receiving.py::test_", _PROTOCOL + "requests.py::test_"
_OWNERSHIP = "tests/contract/test_ownership.py::test_"


def _served(operation: str, proof: str, note: str = "") -> Row:
    return Row(operation, True, proof, note)


def _refused(operation: str, proof: str, note: str) -> Row:
    return Row(operation, False, proof, note)


ROWS: tuple[Row, ...] = (
    _served("hub and partition properties", _DURABLE + "hub_and_partition_properties"),
    _served("send to a partition id", _SEND + "a_batch_for_one_partition_is_stored_there_in_order"),
    _served(
        "send by partition key",
        _SEND + "a_partition_key_leads_to_the_partition_that_azures_own_hash_names",
        "Jenkins lookup3, as in Azure's SDKs",
    ),
    _served("send in turn (round robin)", _SEND + "without_key_or_partition_batches_take_turns"),
    _served("`send_event`", _SEND + "send_event_sends_one_event"),
    _served("buffered mode", _SEND + "buffered_mode_sends_everything_and_reports_each_event_once"),
    _served("buffered mode, asyncio", _ASYNC + "buffered_mode_sends_everything_and_reports_each_event_once"),
    _served(
        "batches up to 1 MiB, over many frames",
        _SEND + "a_batch_of_a_mebibyte_arrives_over_many_frames_in_both_directions",
    ),
    _served("application properties, ids, content type", _SEND + "properties_and_ids_arrive_as_they_were_sent"),
    _served("every kind of body", _SEND + "every_kind_of_body_and_value_arrives_as_it_was_sent"),
    _served("every AMQP type", _STORED + "every_amqp_type_comes_back_byte_for_byte"),
    _served(
        "AMQP over WebSocket, on the same port",
        _CONTRACT + "websocket.py::test_events_are_sent_and_received_over_websocket",
        "give the port as `custom_endpoint_address`",
    ),
    _served(
        "TLS, with a self-made certificate",
        "tests/contract/test_tls.py::test_event_hubs_sends_and_receives_over_tls",
        "`serve --tls`; `custom_endpoint_address` and `connection_verify`; needs `cryptography`",
    ),
    _served(
        "Azure's SDK for JavaScript",
        _CONTRACT + "node_client.py::test_what_the_javascript_client_sends_both_clients_receive",
    ),
    _served("asyncio clients", _ASYNC + "what_is_sent_by_key_partition_and_turn_is_received"),
    _served("asyncio: every start, large batches", _ASYNC_RECEIVE + "from_a_time_and_from_latest"),
    _served("receive from the start", _RECEIVE + "from_the_start_everything_comes_in_order"),
    _served("receive from `@latest`", _RECEIVE + "from_latest_only_what_comes_later"),
    _served(
        "receive from a sequence number, inclusive or not", _RECEIVE + "from_a_sequence_number_without_and_with_it"
    ),
    _served("receive from an offset, inclusive or not", _RECEIVE + "from_an_offset_without_and_with_it"),
    _served("receive from a time, inclusive or not", _RECEIVE + "from_a_time_without_and_with_it"),
    _served("consumer groups", _RECEIVE + "consumer_groups_read_the_same_events_each_for_itself"),
    _served("last-enqueued tracking", _RECEIVE + "each_event_tells_where_the_log_ends_if_asked"),
    _served(
        "owner level: steal and refuse",
        _RECEIVE + "a_higher_owner_level_takes_the_partition_over_and_lower_ones_are_refused",
        "`amqp:link:stolen`",
    ),
    _served(
        "five receivers without owner level per partition and group",
        _RECEIVE + "five_receivers_without_owner_level_are_let_in_and_the_sixth_is_refused",
        "the sixth: `amqp:resource-limit-exceeded`",
    ),
    _served(
        "load balancing between processes (ownership on Cosmos DB)",
        _OWNERSHIP + "two_readers_share_four_partitions_and_one_takes_over_what_the_other_leaves",
    ),
    _served(
        "the same for `azure.eventhub.aio`",
        _OWNERSHIP + "two_async_readers_share_four_partitions_and_one_takes_over_what_the_other_leaves",
        "by the same documents",
    ),
    _served("SAS: signature, key name", _RIGHTS + "a_wrong_key_is_refused_at_cbs_with_401"),
    _served("SAS: audience", _RIGHTS + "a_sas_token_is_good_for_its_audience_only"),
    _served("SAS: expiry; links end with their token", _RIGHTS + "when_the_token_expires_its_links_are_dropped"),
    _served("rights Send, Listen, Manage per link", _RIGHTS + "listen_does_not_send"),
    _served(
        "bearer tokens",
        _RIGHTS + "the_bearer_token_a_server_was_started_with_is_accepted_and_no_other",
        "one fixed token, compared, not verified",
    ),
    _served("an unknown hub is refused at put-token", _RIGHTS + "an_unknown_hub_is_refused_at_cbs_with_404", "404"),
    _served(
        "restart: clients go on, sequence numbers continue",
        _DURABLE + "a_producer_and_a_consumer_live_through_a_restart_and_sequence_numbers_continue",
    ),
    _served(
        "a kill at any time: what was acknowledged is kept once, in sequence",
        "tests/chaos/test_event_hubs_kill.py"
        "::test_killed_under_load_nothing_acknowledged_is_lost_doubled_or_out_of_order",
    ),
    _served("delete a hub", _DURABLE + "a_deleted_hub_ends_its_links_and_is_unknown_from_then_on"),
    _served("retention by age", _SERVICE + "events_expire_by_age_and_sequence_numbers_go_on"),
    _served(
        "retention that ends at once (on purpose)",
        _FAULTS + "when_retention_ends_a_new_reader_finds_only_what_comes_after_and_numbers_go_on",
        "not on Azure",
    ),
    _served("retention by size", _SERVICE + "events_expire_by_size", "not on Azure"),
    _served(
        "throughput units (as a fault)",
        _FAULTS + "throttled_to_a_fraction_of_a_unit_excess_events_are_answered_server_busy",
        "`com.microsoft:server-busy`",
    ),
    _served("settled (unacknowledged) sends", _STORED + "a_settled_transfer_is_stored_without_an_answer"),
    _served("draining a receiver's credit", _RECEIVING + "draining_gives_back_the_credit_at_the_end_of_the_log"),
    _refused("messages above 1 MiB", _SEND + "a_message_above_a_mebibyte_is_refused_with_its_condition", "rejected"),
    _refused("transactions", _SERVICE + "transactions_are_refused_as_not_implemented", "`amqp:not-implemented`"),
    _refused("publisher addresses", _SERVICE + "addresses_that_lead_nowhere_are_refused", "`amqp:not-found`"),
    _refused(
        "selectors other than start positions",
        _RECEIVING + "filters_that_are_not_understood_are_refused_not_ignored",
        "`com.microsoft:argument-error`",
    ),
    _refused(
        "management operations other than READ",
        _REQUESTS + "other_operations_of_management_are_refused_with_501",
        "501",
    ),
    _refused(
        "geo-replication",
        _SERVICE + "only_the_capabilities_that_are_served_are_offered",
        "the link capability is not offered",
    ),
)
