"""Cosmos DB's rows of the support table: what the account serves, what it refuses, and the test that sees it."""

from __future__ import annotations

from localazure.support import Row

_CONTRACT = "tests/contract/test_cosmos_"
REFUSED_405 = "405 MethodNotAllowed"
REFUSED_400 = "400 BadRequest"


def _served(operation: str, proof: str, note: str = "") -> Row:
    return Row(operation, True, _CONTRACT + proof, note)


def _refused(operation: str, proof: str, note: str) -> Row:
    return Row(operation, False, _CONTRACT + proof, note)


_CONTAINERS = "containers.py::test_"
_ITEMS = "items.py::test_"
_BATCHES = "batches.py::test_"
_FEED = "change_feed.py::test_"
_ACCESS = "access.py::test_"
_FAULTS = "faults.py::test_"

ROWS: tuple[Row, ...] = (
    _served(
        "databases: create, read, list, query, delete", _CONTAINERS + "a_database_is_created_listed_found_and_deleted"
    ),
    _served(
        "containers: create, read, list, query, delete", _CONTAINERS + "a_container_is_created_listed_found_and_deleted"
    ),
    _served("partition key, hash version 1 and 2", _CONTAINERS + "both_hash_versions_of_the_partition_key_work"),
    _served("hierarchical partition keys", _CONTAINERS + "a_hierarchical_partition_key_has_up_to_three_levels"),
    _served("unique keys", _CONTAINERS + "a_unique_key_is_held_by_one_document_of_a_logical_partition"),
    _served(
        "containers: replace (indexing policy, time to live)",
        _CONTAINERS + "replacing_a_container_changes_indexing_and_time_to_live_only",
        "indexing policies are kept and checked; they change no charge, and spatial indexes do nothing",
    ),
    _served(
        "a recreated container is told apart", _CONTAINERS + "a_recreated_container_is_told_apart_from_the_old_one"
    ),
    _served("throughput: read, replace", _CONTAINERS + "throughput_is_400_unless_asked_for_and_can_be_replaced"),
    _served("throughput: autoscale", _CONTAINERS + "autoscale_has_a_maximum", "no change between manual and autoscale"),
    _served("throughput shared by a database", _CONTAINERS + "containers_may_share_the_throughput_of_their_database"),
    _served(
        "physical partitions that follow the throughput and split",
        _CONTAINERS + "physical_partitions_follow_the_provisioned_throughput",
    ),
    _served("items: create, read", _ITEMS + "a_created_item_is_read_back_with_its_system_properties"),
    _served("items: upsert", _ITEMS + "upsert_creates_and_then_replaces"),
    _served("items: replace", _ITEMS + "replace_changes_the_etag_and_keeps_the_resource_id"),
    _served("items: read many", _ITEMS + "many_items_are_read_at_once"),
    _served("items: read all", _ITEMS + "all_items_are_read_page_by_page"),
    _served("items: patch, all six operations", _ITEMS + "a_patch_changes_what_it_names"),
    _served("items: conditional patch", _ITEMS + "a_patch_applies_only_where_its_condition_holds"),
    _served("items: delete by partition key", _ITEMS + "all_items_of_a_partition_key_are_deleted_at_once"),
    _served("etag conditions", _ITEMS + "a_stale_etag_is_refused_and_changes_nothing"),
    _served("time to live", _ITEMS + "an_expired_item_is_gone_from_reads_queries_and_feeds_at_once"),
    _served("limit of 2 MB per item", _ITEMS + "an_item_of_two_megabytes_is_kept_and_a_larger_one_refused_with_413"),
    _served(
        "request charges of point reads and writes",
        _ITEMS + "the_charge_follows_the_documented_table",
        "from the documented table; charges of queries and feed pages are estimates",
    ),
    _served("transactional batch", _BATCHES + "a_batch_does_all_its_operations_in_order"),
    _served("transactional batch: all or nothing", _BATCHES + "one_refused_operation_undoes_the_batch"),
    _served(
        "change feed, latest version: from the beginning",
        _FEED + "from_the_beginning_it_has_the_latest_version_of_each_item_in_the_order_of_its_last_write",
    ),
    _served("change feed: from now, from a continuation", _FEED + "from_now_it_has_only_what_comes_later"),
    _served("change feed: from a time", _FEED + "from_a_time_it_has_what_was_written_then_or_later"),
    _served("change feed: per feed range", _FEED + "each_feed_range_has_its_own_items_and_together_they_have_all"),
    _served("change feed: per partition key", _FEED + "per_partition_key_it_has_that_key_alone"),
    _served("change feed: over restarts and splits", _FEED + "a_continuation_survives_a_restart_and_a_split"),
    _served(
        "change feed: all versions and deletes",
        _FEED + "all_versions_and_deletes_are_told_where_the_container_keeps_them",
        "for containers with a change feed policy; an expired document is told when its space is given back. A page of "
        "one partition key costs what the key had, one of a narrower feed range what the whole log has",
    ),
    _served(
        "session consistency",
        "consistency.py::test_a_session_reads_its_own_writes_also_where_the_second_region_lags",
    ),
    _served(
        "the account's default consistency level, and weaker ones by request",
        "consistency.py::test_strong_and_bounded_staleness_reads_are_charged_twice",
        "`serve --consistency`, Session without it; levels differ in charges and in the second region only",
    ),
    _refused(
        "a consistency level stronger than the account's",
        "consistency.py::test_a_level_stronger_than_the_accounts_is_400",
        REFUSED_400,
    ),
    _served(
        "a second region that lags, when asked for",
        "consistency.py::test_an_eventual_reader_of_the_second_region_sees_the_past_and_then_the_present",
        "for reading; it answers writes with 403/3",
    ),
    _served(
        "throughput enforced, when asked for",
        "throughput.py::test_a_hot_partition_is_refused_while_the_other_one_still_writes",
        "429 per physical partition; containers that share their database's throughput use it up together",
    ),
    _served("read-only keys", _ACCESS + "the_read_only_key_reads_and_queries_but_does_not_write"),
    _served("signatures and their dates", _ACCESS + "a_date_may_be_off_by_a_quarter_of_an_hour"),
    _served(
        "bearer tokens",
        _ACCESS + "a_bearer_token_is_accepted_where_the_server_was_started_with_it",
        "one token, given at the start, compared and not verified; 403/5300 for databases, containers and throughput. "
        "The SDK sends it over TLS; over plain HTTP only with `enforce_https=False`, which not all its calls pass on",
    ),
    Row(
        "TLS, with a self-made certificate",
        True,
        "tests/contract/test_tls.py::test_cosmos_reads_and_writes_over_tls",
        "`serve --tls --cosmos-port 8081` for `https://localhost:8081/`; needs `cryptography`",
    ),
    _served("asynchronous client", "aio.py::test_the_asynchronous_client_does_what_the_other_does"),
    _served("faults: status and sub-status", _FAULTS + "a_read_that_fails_so_once_heals"),
    _served("faults: delay", _FAULTS + "a_delay_holds_the_answer_back"),
    _served("faults: cut connection", _FAULTS + "a_connection_cut_after_the_commit_leaves_the_item"),
    _served("faults: crash", _FAULTS + "a_crash_between_two_operations_keeps_the_first_and_not_the_second"),
    *(
        _refused(what, _CONTAINERS + "what_the_account_does_not_offer_is_405", REFUSED_405)
        for what in ("users", "permissions", "stored procedures", "triggers", "user-defined functions", "conflict feed")
    ),
    Row(
        "a partition key value above 2,048 bytes",
        False,
        "tests/unit/cosmos/test_malformed.py::test_a_partition_key_value_has_at_most_2048_bytes",
        REFUSED_400,
    ),
    Row(
        "the bound of 20 GB for a logical partition",
        False,
        "",
        "a logical partition may grow beyond it, where Azure answers 403/1014",
    ),
    _refused(
        "triggers and indexing directives on a write",
        _ITEMS + "a_write_that_asks_for_a_trigger_or_an_indexing_directive_is_400",
        REFUSED_400,
    ),
    *(
        _refused(what, _CONTAINERS + "a_container_policy_that_is_not_offered_is_400", REFUSED_400)
        for what in (
            "custom conflict resolution",
            "computed properties",
            "vector and full-text policies",
            "analytical storage",
        )
    ),
)
